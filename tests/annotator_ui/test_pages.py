from __future__ import annotations

import json
import re
from functools import partial
from pathlib import Path

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django_vite.core.asset_loader import DjangoViteAssetLoader
from pytest_django import Settings

from engine.domain.jobs import QUEUES
from engine.domain.states import ModelFamily, ModelVersionStatus
from engine.models import Assignment, EngineStage, Evaluation, Image, ModelVersion, Project, User
from engine.services.datasets import exports
from engine.services.jobs import jobs
from engine.services.masks import assignments
from engine.services.models import model_versions
from engine.services.projects import projects
from tests import factories
from tests.annotator_ui.conftest import AddImage, client_of, image_bytes, save_mask

PAGE = "/projects/roof-tiles/"


def html_of(client: Client, path: str = PAGE) -> str:
    response = client.get(path)
    assert response.status_code == 200
    return str(response.content.decode())


def has(html: str, testid: str) -> bool:
    return f'data-testid="{testid}"' in html


def text_of(html: str, testid: str) -> str:
    found = re.search(rf'data-testid="{testid}"[^>]*>(.*?)<', html, re.DOTALL)
    assert found, f"{testid} is not on the page"
    return found.group(1).strip()


def test_nothing_at_all_is_explained(as_lead: Client, as_annotator: Client) -> None:
    for_lead, for_annotator = html_of(as_lead, "/"), html_of(as_annotator, "/")

    assert has(for_lead, "no-projects")
    assert has(for_lead, "create-project")
    assert has(for_annotator, "no-projects")
    assert not has(for_annotator, "create-project")


def test_a_new_project_opens_on_its_page(as_lead: Client) -> None:
    response = as_lead.post("/", {"name": "  Roof tiles "})

    assert response.headers["Location"] == PAGE
    html = html_of(as_lead)
    assert text_of(html, "project-name") == "Roof tiles"
    assert text_of(html, "stage-current") == "Assisted manual"
    assert all(has(html, empty) for empty in ("no-images", "no-jobs", "no-exports"))
    assert not has(html, "label-link")
    assert text_of(html, "serving-sam") == "v1 serves"


@pytest.mark.parametrize("name", ["", "   ", "x" * 201])
def test_a_project_without_a_proper_name_is_refused_with_a_reason(
    as_lead: Client, name: str
) -> None:
    response = as_lead.post("/", {"name": name})

    assert response.status_code == 422
    assert b"name" in response.content
    assert not Project.objects.exists()


def test_an_annotator_cannot_create_a_project(as_annotator: Client) -> None:
    assert as_annotator.post("/", {"name": "Mine"}).status_code == 403
    assert not Project.objects.exists()


def test_names_are_text_and_never_markup(as_lead: Client, lead: User) -> None:
    project = projects.create_project("<script>alert(1)</script>", actor=lead)

    html = html_of(as_lead, f"/projects/{project.slug}/")

    assert "<script>alert" not in html
    assert "&lt;script&gt;alert" in html


def test_pages_have_no_inline_scripts_or_styles(as_lead: Client, assignment: Assignment) -> None:
    for path in ("/", PAGE, "/sign-in/"):
        html = html_of(as_lead if path != "/sign-in/" else Client(), path)
        assert not re.search(r"<script(?![^>]*\bsrc=)", html)
        assert "<style" not in html
        assert not re.search(r"\sstyle=|\son\w+=", html)


def test_a_lead_sees_figures_photos_and_buttons(as_lead: Client, assignment: Assignment) -> None:
    save_mask(assignment)

    html = html_of(as_lead)

    assert text_of(html, "figure-images") == "1"
    assert text_of(html, "figure-masks") == "1"
    assert text_of(html, "stage-masks") == "1"
    assert text_of(html, "count-human") == "1"
    assert f"{PAGE}label/?image={assignment.image_id}" in html
    buttons = ("label-link", "retrain-sam", "train-detector", "advance-stage")
    assert all(has(html, one) for one in (*buttons, "export-sa1b", "export-coco", "upload-input"))


def test_an_annotator_sees_the_work_but_no_levers(
    as_annotator: Client, assignment: Assignment
) -> None:
    html = html_of(as_annotator)

    assert has(html, "label-link")
    assert has(html, "stage-current")
    assert has(html, "image-card")
    levers = ("retrain-sam", "advance-stage", "export-coco", "upload-input", "job-row")
    assert not any(has(html, one) for one in levers)


def test_what_keeps_people_from_labelling_is_said_on_top(as_lead: Client, project: Project) -> None:
    ModelVersion.objects.all().update(status="retired")

    assert has(html_of(as_lead), "project-warning")


def test_photos_upload_without_javascript(as_lead: Client, project: Project) -> None:
    good = SimpleUploadedFile("good.jpg", image_bytes())
    bad = SimpleUploadedFile("notes.jpg", b"text")

    response = as_lead.post(f"{PAGE}upload/", {"file": [good, bad]}, follow=True)

    html = response.content.decode()
    assert "Images added: 1." in html
    assert "Notes.jpg:" in html or "notes.jpg:" in html
    assert project.images.count() == 1


def test_buttons_work_as_plain_forms(as_lead: Client, assignment: Assignment) -> None:
    refused = as_lead.post(f"{PAGE}retrain/", {"family": "sam"}, follow=True)
    empty = as_lead.post(f"{PAGE}export/", {"format": "coco"}, follow=True)
    save_mask(assignment)
    exported = as_lead.post(f"{PAGE}export/", {"format": "coco"}, follow=True)
    invented = as_lead.post(f"{PAGE}export/", {"format": "pdf"}, follow=True)

    assert "COCO export is being written" in exported.content.decode()
    assert has(exported.content.decode(), "export-row")
    assert "nothing is labelled yet" in refused.content.decode().lower()
    assert "there is nothing to export" in empty.content.decode().lower()
    assert "no such export format" in invented.content.decode()
    assert assignment.image.project.exports.count() == 1


def test_advancing_early_needs_a_reason_and_says_what_is_missing(
    as_lead: Client, project: Project
) -> None:
    html = html_of(as_lead)
    refused = as_lead.post(f"{PAGE}advance/", {"reason": " "}, follow=True).content.decode()

    assert "0 of 8" in text_of(html, "advance-blockers")
    assert "Give a reason" in refused
    assert EngineStage.objects.count() == 1

    done = as_lead.post(f"{PAGE}advance/", {"reason": "a demonstration"}, follow=True)

    assert text_of(done.content.decode(), "stage-current") == "Semi-automatic"
    assert 'data-stage="semi_automatic"' in done.content.decode()


def test_a_closing_stage_says_so_and_can_be_kept_open(
    as_lead: Client, assignment: Assignment
) -> None:
    as_lead.post(f"{PAGE}advance/", {"reason": "a demonstration"})

    html = html_of(as_lead)

    assert has(html, "stage-draining")
    assert not has(html, "advance-stage")
    kept = as_lead.post(f"{PAGE}back/", {"reason": "called off"}, follow=True).content.decode()
    assert not has(kept, "stage-draining")
    assert has(kept, "advance-stage")


@pytest.fixture
def candidate(project: Project) -> ModelVersion:
    """A version that measured worse than the serving one it started from."""
    from engine.models import Snapshot

    serving = project.model_versions.get(family="sam")
    snapshot = Snapshot.objects.create(
        project=project, manifest_key="manifests/x", sha256="1" * 64, num_images=4, num_masks=30
    )
    version = ModelVersion.objects.create(
        project=project,
        family="sam",
        number=2,
        arch="tiny",
        parent=serving,
        snapshot=snapshot,
        status="evaluated",
        checkpoint_key=serving.checkpoint_key,
        checkpoint_sha256=serving.checkpoint_sha256,
        encoder_sha256=serving.encoder_sha256,
        decoder_key=serving.decoder_key,
        decoder_sha256=serving.decoder_sha256,
        config=serving.config,
    )
    names = ("clicks_1_miou", "clicks_3_miou", "clicks_5_miou", "box_miou")
    for one, value in ((serving, 0.75), (version, 0.5)):
        metrics = dict.fromkeys(names, value)
        Evaluation.objects.create(model_version=one, snapshot=snapshot, metrics=metrics)
    return version


def test_a_worse_model_shows_how_much_and_why_it_was_kept_back(
    as_lead: Client, candidate: ModelVersion
) -> None:
    html = html_of(as_lead)

    assert text_of(html, "metric-clicks_1_miou") == "0.500"
    assert "-0.250" in html
    assert "Kept back" in text_of(html, "version-verdict")
    assert "clicks_1_miou" not in text_of(html, "version-verdict")
    assert "30 masks, 4 images" in html


def test_a_worse_detector_shows_its_recall_and_why_it_was_kept_back(
    as_lead: Client, candidate: ModelVersion
) -> None:
    snapshot = candidate.snapshot
    make = partial(
        factories.make_version,
        candidate.project,
        family=ModelFamily.OBJECT_DETECTOR,
        encoder_sha256=candidate.encoder_sha256,
        snapshot=snapshot,
        has_decoder=False,
    )
    serving, worse = make(), make(status=ModelVersionStatus.EVALUATED)
    ModelVersion.objects.filter(pk=worse.pk).update(parent=serving)
    for one, recall in ((serving, 1.0), (worse, 0.8)):
        metrics = {"recall_50_at_100": recall}
        Evaluation.objects.create(model_version=one, snapshot=snapshot, metrics=metrics)

    html = html_of(as_lead)

    assert text_of(html, "metric-recall_50_at_100") == "0.800"
    assert "-0.200" in html
    verdict = re.findall(r'version-verdict"[^>]*>([^<]*)', html)
    assert any("its box recall is 0.800, the serving model" in one for one in verdict), verdict


def test_a_worse_model_is_promoted_only_with_a_reason_and_rolled_back_without(
    as_lead: Client, candidate: ModelVersion
) -> None:
    body = {"model_version_id": str(candidate.pk)}
    refused = as_lead.post(f"{PAGE}promote/", body, follow=True).content.decode()
    assert "should not serve" in refused
    assert text_of(refused, "serving-sam") == "v1 serves"

    assert "The shipped model is small" in text_of(refused, "shipped-model")

    promoted = as_lead.post(f"{PAGE}promote/", {**body, "reason": "trial"}, follow=True)
    assert text_of(promoted.content.decode(), "serving-sam") == "v2 serves"
    assert not has(promoted.content.decode(), "shipped-model")  # v2 was trained on the project
    assert has(promoted.content.decode(), "rollback-version")

    before = candidate.parent
    assert before is not None
    rolled_back = as_lead.post(f"{PAGE}promote/", {"model_version_id": str(before.pk)}, follow=True)
    assert text_of(rolled_back.content.decode(), "serving-sam") == "v1 serves"


def test_a_running_job_shows_its_progress_and_a_failed_one_its_error(
    as_lead: Client, as_annotator: Client, project: Project, image: Image
) -> None:
    failed = jobs.claim(QUEUES, worker="w")
    assert failed is not None
    jobs.fail(failed, error="no memory left", retryable=False)
    model_versions.embeddings.request_embedding(image)
    running = jobs.claim(QUEUES, worker="w")
    assert running is not None
    jobs.heartbeat(running, progress_pct=40, text="half way, nearly")

    html = html_of(as_lead)
    live = as_lead.get("/api/v1/projects/roof-tiles").json()

    assert 'value="40"' in html
    assert "half way, nearly" in html
    assert "no memory left" in text_of(html, "job-error")
    assert image.file_name in html
    assert [one["progress_pct"] for one in live["running_jobs"]] == [40]
    assert as_annotator.get("/api/v1/projects/roof-tiles").json()["running_jobs"] == []
    assert live["running_jobs"][0]["progress_line"].startswith("40 % · half way, nearly")


def test_the_revision_moves_with_every_change_and_only_then(
    as_lead: Client, project: Project, add_image: AddImage, annotator: User
) -> None:
    def revision() -> str:
        return str(as_lead.get("/api/v1/projects/roof-tiles").json()["revision"])

    seen = [revision()]
    assert revision() == seen[0]
    save_mask(assignments.lease_image(add_image(1), annotator=annotator))
    seen.append(revision())
    exports.request_export(project, format="coco", actor=project.created_by)
    seen.append(revision())
    jobs.claim(QUEUES, worker="w")
    seen.append(revision())

    assert len(set(seen)) == len(seen)
    assert f'data-revision="{seen[-1]}"' in html_of(as_lead)


def test_the_page_costs_the_same_queries_however_many_photos(
    as_lead: Client, add_image: AddImage
) -> None:
    def num_queries() -> int:
        with CaptureQueriesContext(connection) as queries:
            html_of(as_lead)
        return len(queries)

    add_image(0)
    with_one = num_queries()
    for seed in (1, 2, 3):
        add_image(seed)

    assert num_queries() == with_one <= 60


def test_a_finished_export_is_downloaded_under_a_telling_name(
    as_lead: Client, assignment: Assignment, tmp_path: Path
) -> None:
    save_mask(assignment)
    project = assignment.image.project
    export = exports.request_export(project, format="coco", actor=project.created_by)
    early = as_lead.get(f"/api/v1/exports/{export.pk}/file")
    written = exports.write_export(export, tmp_path / "out")
    exports.attach_export_file(export, written=written)

    html = html_of(as_lead)
    told = as_lead.get(f"/api/v1/exports/{export.pk}").json()
    response = as_lead.get(told["file_url"])

    assert (early.status_code, early.json()["code"]) == (409, "not_ready")
    assert has(html, "export-download")
    assert (told["status"], told["num_masks"], told["sha256"]) == ("ready", 1, export.sha256)
    disposition = response.headers["Content-Disposition"]
    assert re.fullmatch(r'attachment; filename="roof-tiles-coco-[\d-]+\.zip"', disposition)
    assert b"".join(response.streaming_content)[:2] == b"PK"


def test_the_labelling_page_hands_over_what_the_app_needs(
    annotator: User,
    image: Image,
    settings: Settings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    dist = tmp_path / "dist"
    dist.mkdir()
    entry = {"file": "assets/main-abc.js", "src": "src/main.tsx", "isEntry": True}
    (dist / "manifest.json").write_text(json.dumps({"src/main.tsx": entry}))
    settings.UI_DIST_DIR = dist
    settings.DJANGO_VITE = {
        "default": {"static_url_prefix": "ui", "manifest_path": dist / "manifest.json"}
    }
    monkeypatch.setattr(DjangoViteAssetLoader, "_instance", None)

    html = html_of(client_of(annotator), f"{PAGE}label/?image={image.pk}")

    found = re.search(r'<script id="label-config" type="application/json">(.*?)</script>', html)
    assert found
    config = json.loads(found.group(1))
    assert len(config.pop("csrf_token")) >= 32
    assert config == {
        "project_slug": "roof-tiles",
        "project_name": "Roof tiles",
        "api_base": "/api/v1",
        "csrf_cookie_name": "csrftoken",
        "image_id": str(image.pk),
        "user": {"name": "anna", "role": "annotator"},
        "static_ort_url": "/static/ui/ort/",
        "sign_in_url": "/sign-in/",
        "instructions": "",
    }
    assert '<div id="app"></div>' in html
    assert 'src="/static/ui/assets/main-abc.js"' in html
