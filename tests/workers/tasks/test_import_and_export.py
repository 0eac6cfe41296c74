"""The commands on a real dataset: masks in, masks out, read back by pycocotools pixel for pixel."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.core.management import CommandError, call_command
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from engine.models import DatasetImport, Image, Job, Mask, Project
from engine.services.jobs import jobs
from tests import factories
from tests.engine import archives
from tests.needs import SHARED_DATA, missing
from workers.execution import foreground

pytestmark = [
    # A command and its heartbeat are two connections: each must see what the other committed.
    pytest.mark.django_db(transaction=True),
    # pycocotools 2.0 under numpy 2
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
]


@pytest.fixture
def project() -> Project:
    return factories.make_project("Pets")


def call(*arguments: str) -> str:
    output = io.StringIO()
    call_command(*arguments, stdout=output, stderr=output)
    return output.getvalue()


def pets(root: Path) -> Path:
    polygon = [[10, 5, 20, 5, 20, 15, 10, 15]]
    entries = [archives.entry(1, 1, polygon), archives.entry(2, 9, polygon)]
    files = {
        "a.png": archives.photo(1),
        "b.txt": b"no image",
        "coco.json": archives.coco([archives.image_entry(1, "a.png")], entries),
    }
    return archives.write_folder(root / "pets", files)


def test_photos_dev_goes_in_and_comes_out_pixel_for_pixel(
    project: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dataset = SHARED_DATA / "photos-dev"
    if not dataset.is_dir():
        missing(f"{dataset} is not there")
    source = json.loads((dataset / "instances.json").read_text())

    output = call("import", str(dataset), "--project", "pets")
    archive = tmp_path / "out.zip"
    call("export", "--project", "pets", "--format", "coco", "--output", str(archive))
    with zipfile.ZipFile(archive) as opened:
        opened.extractall(tmp_path / "out")

    num_masks = len(source["annotations"])
    assert f"{len(source['images'])} images new" in output
    assert f"{num_masks} masks new" in output
    coco = COCO(str(tmp_path / "out" / "annotations.json"))
    assert len(coco.getAnnIds()) == num_masks
    lines = (tmp_path / "out" / "provenance.jsonl").read_text().splitlines()
    origins = {line["annotation_id"]: line["origin"] for line in map(json.loads, lines)}
    truths = {str(one["id"]): one for one in source["annotations"]}
    names = {one["id"]: one["name"] for one in source["categories"]}
    found = set()
    for annotation in coco.loadAnns(coco.getAnnIds()):
        key = origins[annotation["id"]]["annotation_id"]
        truth = truths[key]
        found.add(key)
        expected = coco_mask.decode(truth["segmentation"]).astype(bool)
        assert np.array_equal(coco.annToMask(annotation).astype(bool), expected), key
        assert annotation["iscrowd"] == truth["iscrowd"]
        category = coco.loadCats(annotation["category_id"])[0]["name"]
        assert category == names[truth["category_id"]]
    assert len(found) == num_masks


def test_the_command_reports_what_it_refused_and_repeats_harmlessly(
    project: Project, tmp_path: Path
) -> None:
    folder = pets(tmp_path)

    first = call("import", str(folder), "--project", "pets", "--report", str(tmp_path / "r.jsonl"))
    again = call("import", str(folder), "--project", "pets")

    assert "1 images new, 0 known; 1 masks new, 0 known; 2 refused" in first
    assert "refused b.txt: its name is not that of an image" in first
    assert "refused coco.json: annotation 2: there is no image 9" in first
    assert len((tmp_path / "r.jsonl").read_text().splitlines()) == 2
    assert "0 images new, 1 known; 0 masks new, 1 known; 2 refused" in again
    assert Job.objects.filter(kind="import", status="succeeded").count() == 2


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["import", "/no/such", "--project", "pets"], "/no/such: there is no such folder or file"),
        (["import", ".", "--project", "dogs"], "there is no project 'dogs'; there are: pets"),
        (["import", ".", "--project", "pets", "--user", "x"], "there is no active user 'x'"),
        (["export", "--project", "pets", "--output", "/no/such/x.zip"], "no such folder"),
        (["export", "--project", "pets", "--output", "/tmp/x.zip"], "nothing to export"),
    ],
)
def test_mistakes_end_in_one_sentence(
    project: Project, arguments: list[str], sentence: str
) -> None:
    with pytest.raises(CommandError, match=sentence):
        call(*arguments)


def test_a_folder_that_is_no_dataset_fails_its_job_with_a_reason(
    project: Project, tmp_path: Path
) -> None:
    (tmp_path / "x.zip").write_bytes(b"no zip")

    with pytest.raises(CommandError, match=r"x\.zip: it is not a zip archive"):
        call("import", str(tmp_path / "x.zip"), "--project", "pets")

    assert DatasetImport.objects.get().status == "failed"


def test_a_cancelled_import_stops_and_keeps_what_is_in(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = archives.write_folder(
        tmp_path / "many", {f"{i:03d}.png": archives.photo(i) for i in range(300)}
    )
    cancelled: list[Any] = []

    def cancel_once(line: str) -> None:
        if not cancelled:
            cancelled.append(jobs.cancel(Job.objects.get(kind="import"), actor=project.created_by))

    monkeypatch.setattr(foreground, "POLL_S", 0.05)
    monkeypatch.setattr(
        "workers.management.commands.import.Command._write_line", lambda _, x: cancel_once(x)
    )
    monkeypatch.setenv("SEGLOOP_LEASE_S", "1")

    with pytest.raises(CommandError, match="cancelled"):
        call("import", str(folder), "--project", "pets")

    assert 0 < Image.objects.count() < 300
    assert DatasetImport.objects.get().status == "failed"
    assert Mask.objects.count() == 0
