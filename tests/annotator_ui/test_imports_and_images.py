"""Datasets through the API and the pages: archives, reports, the browser of images, overlays."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import PIL.Image
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from engine.domain.proposals import Proposal
from engine.domain.states import MaskSource
from engine.models import Assignment, DatasetImport, Image, Mask, Project
from engine.services.datasets import imports
from engine.services.masks import assignments, masks
from masks.rle import Rle
from tests.annotator_ui.conftest import AddImage, content_of, post, save_mask, square
from tests.engine import archives

NEXT = "/api/v1/projects/roof-tiles/assignments/next"
SQUARE = np.zeros((32, 48), bool)
SQUARE[5:15, 10:20] = True


def archive(**more: bytes) -> bytes:
    coco = archives.coco(
        [archives.image_entry(1, "a.png")],
        [
            archives.entry(1, 1, Rle.encode(SQUARE).to_coco()),
            archives.entry(2, 1, {"size": [9, 9], "counts": [81]}),
        ],
    )
    return archives.zip_of({"coco.json": coco, "a.png": archives.photo(1), "n.txt": b"x", **more})


def zip_file(data: bytes, name: str = "pets.zip") -> SimpleUploadedFile:
    return SimpleUploadedFile(name, data, content_type="application/zip")


def run(dataset: DatasetImport) -> None:
    report = imports.run_import(dataset, on_progress=lambda fraction, text: None)
    imports.attach_report(dataset, report=report)


def test_an_archive_is_imported_by_a_job_and_reports_what_it_refused(
    as_lead: Client, project: Project
) -> None:
    asked = as_lead.post("/api/v1/projects/roof-tiles/imports", {"file": zip_file(archive())})

    assert asked.status_code == 202
    body = asked.json()
    assert (body["name"], body["status"]) == ("pets.zip", "pending")
    assert (body["job"]["kind"], body["job"]["status"]) == ("import", "queued")
    run(DatasetImport.objects.get())
    done = as_lead.get(f"/api/v1/imports/{body['id']}").json()
    assert (done["status"], done["num_images"], done["num_masks"]) == ("done", 1, 1)
    report = as_lead.get(done["refused_url"], {"limit": 1, "offset": 1}).json()
    assert report["num_refused"] == 2
    assert [one["file_name"] for one in report["refused"]] == ["coco.json: annotation 2"]
    assert [one["id"] for one in as_lead.get("/api/v1/projects/roof-tiles/imports").json()] == [
        body["id"]
    ]


@pytest.mark.parametrize("data", [b"no archive", b"", b"PK\x05\x06" + bytes(3)])
def test_what_is_no_archive_is_422_at_once(as_lead: Client, project: Project, data: bytes) -> None:
    response = as_lead.post("/api/v1/projects/roof-tiles/imports", {"file": zip_file(data)})

    assert response.status_code == 422
    assert response.json()["message"].startswith("pets.zip: ")
    assert not DatasetImport.objects.exists()


def test_an_archive_over_the_limit_is_refused(
    as_lead: Client, project: Project, settings: Any
) -> None:
    settings.MAX_ARCHIVE_BYTES = 100

    response = as_lead.post("/api/v1/projects/roof-tiles/imports", {"file": zip_file(archive())})

    assert response.status_code == 422


@pytest.mark.parametrize("query", ["?limit=0", "?offset=-1", "?limit=x", "?limit=1001"])
def test_odd_pages_of_a_report_are_422(as_lead: Client, project: Project, query: str) -> None:
    as_lead.post("/api/v1/projects/roof-tiles/imports", {"file": zip_file(archive())})
    dataset = DatasetImport.objects.get()

    assert as_lead.get(f"/api/v1/imports/{dataset.pk}/refused{query}").status_code == 422


def test_the_form_works_without_a_script_for_photos_and_archives(
    as_lead: Client, project: Project
) -> None:
    files = [zip_file(archive()), SimpleUploadedFile("b.png", archives.photo(2))]

    response = as_lead.post("/projects/roof-tiles/upload/", {"file": files}, follow=True)

    text = response.content.decode()
    assert "Import of pets.zip started." in text
    assert "Images added: 1." in text
    assert DatasetImport.objects.get().name == "pets.zip"
    assert 'data-testid="import-row"' in text


def test_the_report_page_lists_each_refusal_once_and_escapes_names(
    as_lead: Client, project: Project
) -> None:
    data = archive(**{"<script>x.txt": b"x"})
    as_lead.post("/api/v1/projects/roof-tiles/imports", {"file": zip_file(data)})
    dataset = DatasetImport.objects.get()
    before = as_lead.get(f"/projects/roof-tiles/imports/{dataset.pk}/")
    run(dataset)

    after = as_lead.get(f"/projects/roof-tiles/imports/{dataset.pk}/").content.decode()

    assert b"pending" in before.content
    assert after.count('data-testid="refused-row"') == 3
    assert "&lt;script&gt;x.txt" in after
    assert "<script>x" not in after
    assert as_lead.get(f"/projects/roof-tiles/imports/{dataset.pk}/?page=x").status_code == 200


def test_a_report_of_another_project_is_404(as_lead: Client, project: Project) -> None:
    from engine.services.projects.projects import create_project

    as_lead.post("/api/v1/projects/roof-tiles/imports", {"file": zip_file(archive())})
    create_project("Other", actor=project.created_by)

    path = f"/projects/other/imports/{DatasetImport.objects.get().pk}/"
    assert as_lead.get(path).status_code == 404


def test_the_browser_shows_filters_and_pages(
    as_lead: Client, add_image: AddImage, assignment: Assignment
) -> None:
    for seed in range(1, 4):
        add_image(seed)
    save_mask(assignment)

    def names(query: str) -> str:
        return as_lead.get(f"/projects/roof-tiles/images/{query}").content.decode()

    everything = names("")
    assert everything.count('data-testid="image-card"') == 4
    assert everything.count('data-testid="overlay"') == 1
    assert names("?q=photo-2").count('data-testid="image-card"') == 1
    assert names("?source=human").count('data-testid="image-card"') == 1
    assert names("?source=none").count('data-testid="image-card"') == 3
    assert names("?status=done").count('data-testid="image-card"') == 0
    for odd in ("?page=99", "?page=x", "?status=<b>", "?source=%00", "?q=%25"):
        assert as_lead.get(f"/projects/roof-tiles/images/{odd}").status_code == 200


def test_the_browser_finds_what_annotators_could_not_finish(
    as_annotator: Client, add_image: AddImage
) -> None:
    images = [add_image(seed) for seed in range(3)]
    first = post(as_annotator, NEXT, {"image_id": str(images[0].pk)}).json()
    submitted = post(
        as_annotator,
        f"/api/v1/assignments/{first['assignment_id']}/submit",
        {"num_left_out": 2},
    )
    second = post(as_annotator, NEXT, {"image_id": str(images[1].pk)}).json()
    post(as_annotator, f"/api/v1/assignments/{second['assignment_id']}/skip", {"reason": "Fog <b>"})

    def page(query: str) -> str:
        return as_annotator.get(f"/projects/roof-tiles/images/{query}").content.decode()

    assert submitted.status_code == 200
    left_out, skipped = page("?remark=left_out"), page("?remark=skipped")
    assert left_out.count('data-testid="image-card"') == 1
    assert str(images[0].pk) in left_out
    assert "2 left out" in left_out
    assert skipped.count('data-testid="image-card"') == 1
    assert str(images[1].pk) in skipped
    assert "Fog &lt;b&gt;" in skipped
    assert page("?remark=x").count('data-testid="image-card"') == 3


def test_an_overlay_shows_the_masks_and_changes_with_them(
    as_lead: Client, image: Image, assignment: Assignment
) -> None:
    save_mask(assignment, square(top=0, left=0, side=24))
    path = f"/api/v1/images/{image.pk}/overlay"

    first = as_lead.get(path)
    picture = PIL.Image.open(io.BytesIO(content_of(first))).convert("RGBA")
    save_mask(assignment, square(top=30, left=40, side=10))
    second = as_lead.get(path)

    assert picture.getpixel((5, 5))[3] > 0
    assert picture.getpixel((60, 40))[3] == 0
    assert first.headers["ETag"] != second.headers["ETag"]
    mark = second.headers["ETag"].strip('"')
    named = as_lead.get(f"{path}?masks={mark}")
    assert "immutable" in named.headers["Cache-Control"]
    assert "no-cache" in second.headers["Cache-Control"]
    assert content_of(named) == content_of(second) != b""
    stale = first.headers["ETag"].strip('"')
    outdated = as_lead.get(f"{path}?masks={stale}")
    assert content_of(outdated) == content_of(as_lead.get(path))
    assert "immutable" not in outdated.headers["Cache-Control"]
    assert as_lead.get(f"{path}?masks=../../x").status_code == 422


def test_no_masks_no_overlay(as_lead: Client, image: Image) -> None:
    response = as_lead.get(f"/api/v1/images/{image.pk}/overlay")

    assert (response.status_code, response.json()["code"]) == (404, "no_masks")


def test_packed_automatic_masks_are_seen_counted_and_opened(as_lead: Client, image: Image) -> None:
    version = image.project.model_versions.get(family="sam")
    recorded = masks.record_proposals(
        image,
        source=MaskSource.AUTOMATIC,
        model_version=version,
        proposals=[
            Proposal(
                rle=square(),
                predicted_iou=0.9,
                prompts=[{"type": "point", "x_px": 9.0, "y_px": 9.0, "label": 1}],
            )
        ],
        idem_key="auto",
    )

    page = as_lead.get("/projects/roof-tiles/images/?source=automatic").content.decode()
    overlay = as_lead.get(f"/api/v1/images/{image.pk}/overlay")
    assert page.count('data-testid="image-card"') == page.count('data-testid="overlay"') == 1
    assert content_of(overlay).startswith(b"\x89PNG")
    assert Mask.objects.count() == 0
    listed = as_lead.get(f"/api/v1/images/{image.pk}/masks").json()
    assert [one["id"] for one in listed] == [str(recorded[0].pk)]
    rejected = as_lead.post(f"/api/v1/masks/{recorded[0].pk}/reject")
    assert rejected.json()["status"] == "rejected"
    held = assignments.lease_image(image, annotator=image.project.created_by)
    assert held.image_id == image.pk
