"""A feature is a file and a spec: what is registered is on the page, in the API and in commands.

Nothing else had to change for any of them: see the table in CONTRIBUTING.md.
"""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import CommandError, call_command
from django.test import Client
from pytest_django import Settings

from engine.domain.errors import InvalidInput
from engine.domain.jobs import JOB_SPECS, QUEUES
from engine.exporters import EXPORTERS
from engine.importers import IMPORTERS
from engine.models import Job, Mask, Project
from engine.services.jobs import jobs
from tests import factories
from tests.architecture import extensions
from tests.engine import archives

# A job and its heartbeat are two connections: each must see what the other committed.
pytestmark = pytest.mark.django_db(transaction=True)

PAGE = "/projects/pets/"
API = "/api/v1"


@pytest.fixture(autouse=True)
def own_folders(settings: Settings, tmp_path: Path) -> None:
    settings.STATIC_ROOT = tmp_path / "static"
    settings.STATIC_ROOT.mkdir()


@pytest.fixture
def project() -> Project:
    return factories.make_project("Pets")


@pytest.fixture
def client(project: Project) -> Client:
    client = Client()
    client.force_login(project.created_by)
    return client


def call(*arguments: str) -> str:
    output = io.StringIO()
    call_command(*arguments, stdout=output, stderr=output)
    return output.getvalue()


def run_jobs() -> str:
    return call("runner", "--queues", "files", "--once")


def page(client: Client, address: str = PAGE) -> str:
    return client.get(address).content.decode()


def choices_in_openapi(client: Client) -> str:
    return json.dumps(client.get(f"{API}/openapi.json").json())


def request_export(client: Client, format: str) -> int:
    answer = client.post(
        f"{API}/projects/pets/exports", {"format": format}, content_type="application/json"
    )
    return answer.status_code


def boxes(root: Path) -> Path:
    return archives.write_folder(
        root, {"a.png": archives.photo(1), "a.box": b"2 2 12 10\n20 5 30 9\n"}
    )


def test_an_exporter_outside_is_on_the_page_in_the_api_and_in_the_command(
    project: Project, client: Client, tmp_path: Path
) -> None:
    with EXPORTERS.registered("areas", extensions.AreasExporter()):
        assert ">Export Areas</button>" in page(client)
        assert '"areas"' in choices_in_openapi(client)
        factories.label_images(project, num_images=2)

        assert request_export(client, "areas") == 202
        assert " succeeded in " in run_jobs()
        assert '<th scope="row">Areas</th>' in page(client)
        target = tmp_path / "areas.zip"
        call("export", "--project", "pets", "--format", "areas", "--output", str(target))
        with zipfile.ZipFile(target) as archive:
            assert len(archive.read("areas.txt").splitlines()) == 2

    assert ">Export Areas</button>" not in page(client)
    assert '<th scope="row">areas</th>' in page(client)
    assert '"areas"' not in choices_in_openapi(client)
    assert request_export(client, "areas") == 422
    with pytest.raises(CommandError, match="invalid choice: 'areas'"):
        call("export", "--project", "pets", "--format", "areas", "--output", str(target))


def test_an_importer_outside_is_on_the_page_in_the_api_and_in_the_command(
    project: Project, client: Client, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = boxes(tmp_path / "boxes")
    upload = archives.zip_of({one.name: one.read_bytes() for one in folder.iterdir()})
    with IMPORTERS.registered("box", extensions.BoxImporter()):
        assert "COCO, SA-1B or Boxes annotations" in page(client)
        with pytest.raises(SystemExit):
            call_command("import", "--help")
        assert "x0 y0 x1 y1" in " ".join(capsys.readouterr().out.split())

        answer = client.post(
            f"{API}/projects/pets/imports", {"file": SimpleUploadedFile("a.zip", upload)}
        )
        assert answer.status_code == 202
        assert " succeeded in " in run_jobs()
        areas = Mask.objects.values_list("head__area_px", flat=True)
        assert sorted(areas) == [40, 80]
        assert "0 masks new, 2 known; 0 refused" in call("import", str(folder), "--project", "pets")

    assert "COCO or SA-1B annotations" in page(client)
    said = call("import", str(folder), "--project", "pets")
    assert "refused a.box: its name is not that of an image" in said


def test_a_file_that_two_importers_take_for_theirs_is_refused_by_name(
    project: Project, tmp_path: Path
) -> None:
    files = {"a.png": archives.photo(1), "coco.json": archives.coco([], [])}
    folder = archives.write_folder(tmp_path / "pets", files)

    with IMPORTERS.registered("anyjson", extensions.AnyJsonImporter()):
        said = call("import", str(folder), "--project", "pets")

    assert "refused coco.json: it could be any of COCO, Any JSON; nothing was taken" in said


def test_a_kind_of_job_outside_is_on_the_page_in_the_api_and_in_the_runner(
    project: Project, client: Client
) -> None:
    extensions.ended.clear()
    with JOB_SPECS.registered("greet", extensions.GREETING):
        job = jobs.enqueue("greet", project=project, args={"name": "Ada"}, idem_key="greet")
        history = page(client, f"{PAGE}jobs/?kind=greet")
        assert '<option value="greet" selected>Greet somebody</option>' in history
        assert "Ada" in history
        assert "Greet somebody" in page(client)
        assert '"greet"' in choices_in_openapi(client)
        listed = client.get(f"{API}/projects/pets/jobs?kind=greet").json()
        assert [one["id"] for one in listed] == [str(job.pk)]

        claim = jobs.claim(QUEUES, worker="w", only=job.pk)
        assert claim is not None
        jobs.fail(claim, error="lost for words", retryable=False)
        jobs.retry(Job.objects.get(pk=job.pk), actor=project.created_by)
        assert extensions.ended == ["abandoned Ada", "retried Ada"]
        assert f"files greet {job.pk} succeeded" in run_jobs()
        job.refresh_from_db()
        assert job.result == {"greeting": "Hello, Ada"}

    assert "greet" in page(client, f"{PAGE}jobs/")
    assert client.get(f"{PAGE}jobs/?kind=greet").status_code == 404
    assert client.get(f"{API}/projects/pets/jobs?kind=greet").status_code == 422
    assert '"greet"' not in choices_in_openapi(client)


def test_a_job_whose_kind_is_not_registered_here_waits_for_a_worker_that_has_it(
    project: Project,
) -> None:
    with JOB_SPECS.registered("greet", extensions.GREETING):
        job = jobs.enqueue("greet", project=project, args={"name": "Ada"}, idem_key="greet")
        assert jobs.num_claimable("files") == 1

    assert jobs.num_claimable("files") == 0
    assert jobs.claim(["files"], worker="w") is None
    jobs.cancel(job, actor=project.created_by)
    job.refresh_from_db()
    assert job.status == "cancelled"
    with pytest.raises(InvalidInput, match="kind of job must be one of"):
        jobs.enqueue("greet", project=project, args={"name": "Ada"}, idem_key="again")
