"""Exports read back by the field's own reader have the very pixels that were stored."""

from __future__ import annotations

import hashlib
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as PillowImage
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from engine import storage
from engine.domain.errors import InvalidInput, NotAllowed
from engine.domain.jobs import QUEUES
from engine.domain.proposals import Proposal
from engine.domain.states import MaskSource
from engine.models import Export, Mask, Project
from engine.services.datasets import export_plan, exports
from engine.services.jobs import jobs
from engine.services.masks import assignments, masks, packed_masks
from engine.services.masks.shapes import rle_of
from masks.rle import Rle
from tests import factories

pytestmark = [
    pytest.mark.django_db,
    # pycocotools 2.0 under numpy 2
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
]


@pytest.fixture
def project() -> Project:
    """Three images: two with ragged and plain masks, one untouched; one mask is rejected."""
    project = factories.make_project()
    ann = factories.make_user("ann")
    generator = np.random.default_rng(7)
    for _ in range(2):
        image = factories.make_image(project, width_px=37, height_px=29)
        held = assignments.lease_image(image, annotator=ann)
        factories.save(held, rle=Rle.encode(generator.random((29, 37)) > 0.5), label="noise")
        factories.save(held, rle=factories.square(image), annotate_ms=3000)
        rejected = factories.save(held, rle=factories.square(image, x_px=20, side_px=5)).mask
        masks.reject_mask(rejected, actor=ann)
        assignments.submit(held, actor=ann)
    factories.make_image(project)
    return project


def write(project: Project, format: str, folder: Path) -> tuple[Export, Path]:
    """Run the whole way: request, write, keep, unpack."""
    export = exports.request_export(project, format=format, actor=project.created_by)
    written = exports.write_export(export, folder / "work")
    exports.attach_export_file(export, written=written)
    unpacked = folder / "unpacked"
    with zipfile.ZipFile(storage.local_copy(export.storage_key)) as archive:
        archive.extractall(unpacked)
    return export, unpacked


def stored_masks(project: Project) -> list[np.ndarray[Any, Any]]:
    rows = Mask.objects.filter(image__project=project, status="accepted").order_by(
        "image__created_at", "order"
    )
    return [rle_of(row.head.rle_counts, image=row.image).decode() for row in rows]


def test_coco_read_by_pycocotools_has_the_stored_pixels(project: Project, tmp_path: Path) -> None:
    export, folder = write(project, "coco", tmp_path)

    coco = COCO(str(folder / "annotations.json"))

    annotations = coco.loadAnns(sorted(coco.getAnnIds()))
    expected = stored_masks(project)
    assert export.num_masks == len(annotations) == len(expected) == 4
    for annotation, mask_hw in zip(annotations, expected, strict=True):
        assert np.array_equal(coco.annToMask(annotation).astype(bool), mask_hw)
        assert annotation["area"] == mask_hw.sum()
        box = coco_mask.toBbox(annotation["segmentation"])
        assert annotation["bbox"] == list(box)
    for image in coco.loadImgs(coco.getImgIds()):
        with PillowImage.open(folder / "images" / image["file_name"]) as picture:
            assert picture.size == (image["width"], image["height"])


def test_sa1b_files_have_the_released_columns_and_the_stored_pixels(
    project: Project, tmp_path: Path
) -> None:
    _, folder = write(project, "sa1b", tmp_path)

    files = sorted((folder / "sa_000000").glob("sa_*.json"))
    assert [one.name for one in files] == ["sa_1.json", "sa_2.json"]
    contents = [json.loads(one.read_text()) for one in files]
    annotations = [one for content in contents for one in content["annotations"]]
    for annotation, mask_hw in zip(annotations, stored_masks(project), strict=True):
        assert set(annotation) == {
            "id",
            "segmentation",
            "bbox",
            "area",
            "predicted_iou",
            "stability_score",
            "crop_box",
            "point_coords",
        }
        assert np.array_equal(coco_mask.decode(annotation["segmentation"]).astype(bool), mask_hw)
    square = annotations[1]
    assert (square["bbox"], square["area"]) == ([4.0, 4.0, 12.0, 12.0], 144)
    assert square["crop_box"] == [0.0, 0.0, 37.0, 29.0]
    assert square["point_coords"] == [[8.0, 8.0]]
    image = contents[0]["image"]
    assert image == {"image_id": 1, "width": 37, "height": 29, "file_name": "sa_1.png"}
    assert (folder / "sa_000000" / "sa_1.png").is_file()


def test_provenance_says_who_made_each_mask(project: Project, tmp_path: Path) -> None:
    image = project.images.last()
    assert image is not None
    version = factories.make_version(project)
    masks.record_proposals(
        image,
        source=MaskSource.AUTOMATIC,
        model_version=version,
        proposals=[Proposal(rle=factories.square(image), predicted_iou=0.9)],
        idem_key="auto",
    )

    _, folder = write(project, "sa1b", tmp_path)

    lines = [json.loads(one) for one in (folder / "provenance.jsonl").read_text().splitlines()]
    assert len(lines) == 5
    person, machine = lines[0], lines[-1]
    assert (person["author"], person["label"], person["confirmed_by_a_person"]) == (
        "ann",
        "noise",
        True,
    )
    assert (machine["author"], machine["source"], machine["model_version"]) == (
        None,
        "automatic",
        1,
    )
    assert machine["confirmed_by_a_person"] is False


@pytest.mark.parametrize("format", ["coco", "sa1b"])
def test_an_export_of_nothing_is_refused_before_there_is_a_job(format: str) -> None:
    project = factories.make_project("Empty")

    with pytest.raises(InvalidInput, match="no mask has been accepted yet"):
        exports.request_export(project, format=format, actor=project.created_by)

    assert not project.exports.exists()
    assert not project.jobs.exists()


def test_an_export_whose_masks_went_before_it_ran_fails(project: Project, tmp_path: Path) -> None:
    export = exports.request_export(project, format="coco", actor=project.created_by)
    Mask.objects.update(status="rejected")

    with pytest.raises(InvalidInput, match="no mask has been accepted yet"):
        exports.write_export(export, tmp_path)


@pytest.mark.parametrize("format", ["coco", "sa1b"])
def test_the_same_masks_give_the_same_bytes(project: Project, tmp_path: Path, format: str) -> None:
    first, _ = write(project, format, tmp_path / "1")
    second, _ = write(project, format, tmp_path / "2")

    assert first.sha256 == second.sha256


@pytest.mark.parametrize("format", ["coco", "sa1b"])
def test_the_manifest_has_the_checksum_of_every_other_file(
    project: Project, tmp_path: Path, format: str
) -> None:
    _, folder = write(project, format, tmp_path)

    lines = (folder / "manifest.sha256").read_text().splitlines()
    sums = dict(reversed(line.split("  ", 1)) for line in lines)
    files = {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file() and path.name != "manifest.sha256"
    }
    assert sums == files


def test_an_attempt_after_a_killed_one_goes_on_from_its_finished_shards(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each image is a shard; the first attempt dies after one, the second writes only the other.

    A mask drawn in between belongs to the next export, not into half of this one.
    """
    monkeypatch.setattr(export_plan, "IMAGES_PER_SHARD", 1)
    expected, _ = write(project, "coco", tmp_path / "whole")
    export = exports.request_export(project, format="coco", actor=project.created_by)
    texts: list[str] = []

    def die_at_second(fraction: float, text: str) -> None:
        if text == "part 2 of 2":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        exports.write_export(export, tmp_path / "w", on_progress=die_at_second)
    (tmp_path / "w" / "shard-00001.zip").write_bytes(b"half")
    first = (tmp_path / "w" / "shard-00000.zip").stat().st_mtime_ns
    held = assignments.lease_image(project.images.all()[2], annotator=factories.make_user())
    factories.save(held)

    written = exports.write_export(
        export, tmp_path / "w", on_progress=lambda fraction, text: texts.append(text)
    )

    assert storage.sha256_of(written.storage_key) == expected.sha256
    assert (tmp_path / "w" / "shard-00000.zip").stat().st_mtime_ns == first
    assert "part 2 of 2" in texts


def test_packed_automatic_masks_are_exported_as_their_rows_would_be(
    project: Project, tmp_path: Path
) -> None:
    image = project.images.last()
    assert image is not None
    proposals = [
        Proposal(
            rle=factories.square(image, x_px=2 + 15 * place),
            predicted_iou=0.9,
            stability_score=0.97,
            prompts=[factories.click()],
        )
        for place in range(2)
    ]
    masks.record_proposals(
        image,
        source=MaskSource.AUTOMATIC,
        model_version=factories.make_version(project),
        proposals=proposals,
        idem_key="auto",
    )
    packed, _ = write(project, "coco", tmp_path / "packed")

    assert packed_masks.unpack(image) == 2
    unpacked, _ = write(project, "coco", tmp_path / "unpacked")

    assert packed.num_masks == 6
    assert packed.sha256 == unpacked.sha256


def test_labels_become_categories(project: Project, tmp_path: Path) -> None:
    _, folder = write(project, "coco", tmp_path)

    coco = json.loads((folder / "annotations.json").read_text())

    assert [one["name"] for one in coco["categories"]] == ["object", "noise"]
    assert [one["category_id"] for one in coco["annotations"]] == [2, 1, 2, 1]


def test_an_abandoned_job_fails_its_export(project: Project) -> None:
    export = exports.request_export(project, format="coco", actor=project.created_by)
    claim = jobs.claim(QUEUES, worker="w")
    assert claim is not None

    jobs.fail(claim, error="disk full", retryable=False)

    export.refresh_from_db()
    assert export.status == "failed"


def test_an_unknown_format_or_person_is_refused(project: Project) -> None:
    with pytest.raises(InvalidInput, match="format must be one of sa1b, coco"):
        exports.request_export(project, format="voc", actor=project.created_by)
    with pytest.raises(NotAllowed):
        exports.request_export(project, format="coco", actor=factories.make_user())
