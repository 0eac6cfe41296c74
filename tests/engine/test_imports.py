"""Datasets in: what is sound is kept, what is not is named, and nothing is taken twice."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as PillowImage
from pycocotools import mask as coco_mask

from engine import storage
from engine.domain.errors import InvalidInput, NotAllowed
from engine.domain.jobs import QUEUES
from engine.models import DatasetImport, Image, Mask, MaskRevision, Project
from engine.selectors import progress
from engine.selectors.masks import confirmed_masks
from engine.services.datasets import imports
from engine.services.jobs import jobs
from engine.services.masks.shapes import rle_of
from masks.rle import Rle
from tests import factories
from tests.engine import archives

pytestmark = [
    pytest.mark.django_db,
    # pycocotools 2.0 under numpy 2
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
]

SQUARE = np.zeros((32, 48), bool)
SQUARE[5:15, 10:20] = True


@pytest.fixture
def project() -> Project:
    return factories.make_project()


def run_folder(project: Project, folder: Path) -> DatasetImport:
    run = imports.request_folder_import(project, path=folder, actor=project.created_by)
    return finish(run)


def run_zip(project: Project, data: bytes, tmp_path: Path) -> DatasetImport:
    path = tmp_path / "upload.zip"
    path.write_bytes(data)
    run = imports.request_archive_import(
        project, path=path, name="pets.zip", actor=project.created_by
    )
    return finish(run)


def finish(run: DatasetImport) -> DatasetImport:
    report = imports.run_import(run, on_progress=lambda fraction, text: None)
    imports.attach_report(run, report=report)
    return run


def reasons(run: DatasetImport) -> dict[str, str]:
    return {one.name: one.reason for one in imports.refused_by(run)}


def pets() -> dict[str, bytes]:
    """Two images; masks as compressed and plain run lengths, as polygon and as crowd."""
    compressed = Rle.encode(SQUARE).to_coco()
    plain = {"size": [32, 48], "counts": Rle.encode(~SQUARE).runs().tolist()}
    polygon = [[10.0, 5.0, 20.0, 5.0, 20.0, 15.0, 10.0, 15.0], [30, 20, 40, 20, 40, 30, 30, 30]]
    return {
        "annotations/instances.json": archives.coco(
            [archives.image_entry(1, "a.png"), archives.image_entry(2, "b.png")],
            [
                archives.entry(11, 1, compressed),
                archives.entry(12, 1, polygon, category_id=2),
                archives.entry(13, 2, plain, iscrowd=1),
            ],
        ),
        "train/a.png": archives.photo(1),
        "train/b.png": archives.photo(2),
    }


@pytest.mark.parametrize("packed", [False, True])
def test_every_kind_of_coco_mask_comes_in_pixel_for_pixel(
    project: Project, tmp_path: Path, packed: bool
) -> None:
    if packed:
        run = run_zip(project, archives.zip_of(pets()), tmp_path)
    else:
        run = run_folder(project, archives.write_folder(tmp_path / "pets", pets()))

    assert (run.num_images, run.num_masks, run.num_refused) == (2, 3, 0)
    masks = {
        mask.head.origin["annotation_id"]: mask
        for mask in Mask.objects.select_related("head", "image")
    }
    shapes = {key: rle_of(m.head.rle_counts, image=m.image).decode() for key, m in masks.items()}
    polygon = coco_mask.merge(
        coco_mask.frPyObjects(
            [[10.0, 5, 20, 5, 20, 15, 10, 15], [30.0, 20, 40, 20, 40, 30, 30, 30]], 32, 48
        )
    )
    assert np.array_equal(shapes["11"], SQUARE)
    assert np.array_equal(shapes["12"], coco_mask.decode(polygon).astype(bool))
    assert np.array_equal(shapes["13"], ~SQUARE)
    assert {mask.label for mask in masks.values()} == {"cat", "dog"}
    assert masks["12"].head.origin == {
        "file": "annotations/instances.json",
        "annotation_id": "12",
        "category": "dog",
        "iscrowd": 0,
    }
    assert {(m.source, m.status, m.head.kind) for m in masks.values()} == {
        ("imported", "accepted", "import")
    }


def test_imported_masks_teach_models_but_cost_nobody_a_second(
    project: Project, tmp_path: Path
) -> None:
    run_folder(project, archives.write_folder(tmp_path / "pets", pets()))

    figures = progress.project_figures(project).figures
    assert (figures.num_masks, figures.num_human_masks, figures.num_imported_masks) == (3, 0, 3)
    assert figures.seconds_per_mask is None
    assert figures.clicks_per_mask is None
    assert figures.by_model_version == []
    assert confirmed_masks(project).count() == 2  # a crowd is no single object
    assert Image.objects.get(file_name="a.png").split == "train"
    assert Image.objects.get(file_name="b.png").split == ""


def test_importing_again_doubles_nothing(project: Project, tmp_path: Path) -> None:
    folder = archives.write_folder(tmp_path / "pets", pets())
    run_folder(project, folder)

    again = run_folder(project, folder)
    from_zip = run_zip(project, archives.zip_of(pets()), tmp_path)

    for run in (again, from_zip):
        assert (run.num_images, run.num_known_images) == (0, 2)
        assert (run.num_masks, run.num_known_masks) == (0, 3)
    assert (Image.objects.count(), Mask.objects.count(), MaskRevision.objects.count()) == (2, 3, 3)


def test_an_import_killed_between_two_images_goes_on(project: Project, tmp_path: Path) -> None:
    folder = archives.write_folder(tmp_path / "pets", pets())
    run = imports.request_folder_import(project, path=folder, actor=project.created_by)

    def stop_at_half(fraction: float, text: str) -> None:
        if fraction >= 0.5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        imports.run_import(run, on_progress=stop_at_half)
    assert Image.objects.count() == 1
    finish(run)

    assert (Image.objects.count(), Mask.objects.count()) == (2, 3)
    assert (run.num_images, run.num_known_images) == (1, 1)


def test_what_cannot_be_used_is_reported_and_the_rest_is_kept(
    project: Project, tmp_path: Path
) -> None:
    square = Rle.encode(SQUARE).to_coco()
    files = {
        "coco.json": archives.coco(
            [
                archives.image_entry(1, "a.png"),
                archives.image_entry(2, "gone.png"),
                archives.image_entry(3, "c.png", width=64),
                archives.image_entry(1, "twice.png"),
            ],
            [
                archives.entry(1, 1, square),
                archives.entry(2, 1, {"size": [64, 48], "counts": square["counts"]}),
                archives.entry(3, 99, square),
                archives.entry(4, 1, {"size": [32, 48], "counts": [0, 5]}),
                archives.entry(5, 1, [[1, 2, 3, 4]]),
                archives.entry(6, 1, []),
                archives.entry(7, 1, [[1, 1, 1e9, 1, 1e9, 1e9]]),
                archives.entry(8, 1, {"size": [32, 48], "counts": [1536]}),
                archives.entry(9, 1, [["x", 1, 2, 3, 4, 5]]),
                archives.entry(10, 2, square),
                archives.entry(11, 3, square),
            ],
        ),
        "a.png": archives.photo(1),
        "c.png": archives.photo(3),
        "notes.txt": b"hello",
        "broken.jpg": b"\xff\xd8\xff",
        "other.json": b'{"x": 1}',
        "bad.json": b"{",
    }

    run = run_folder(project, archives.write_folder(tmp_path / "odd", files))

    said = reasons(run)
    assert (run.num_images, run.num_masks) == (2, 1)
    assert run.num_refused == len(said) == 15
    assert "64 x 48" in said["coco.json: annotation 2"]
    assert "no image 99" in said["coco.json: annotation 3"]
    assert "add up to" in said["coco.json: annotation 4"]
    assert "three x, y pairs" in said["coco.json: annotation 5"]
    assert "no segmentation" in said["coco.json: annotation 6"]
    assert "outline is longer" in said["coco.json: annotation 7"]
    assert "empty" in said["coco.json: annotation 8"]
    assert "no number" in said["coco.json: annotation 9"]
    assert said["coco.json: gone.png"] == "there is no image of this name (1 masks)"
    assert said["coco.json: annotation 11"] == "64 x 32 px but the image is 48 x 32 px"
    assert said["coco.json: image 1"] == "its id is there twice"
    assert said["notes.txt"] == "its name is not that of an image"
    assert "damaged" in said["broken.jpg"] or "not a JPEG" in said["broken.jpg"]
    assert "annotation file of none of COCO, SA-1B" in said["other.json"]
    assert "not JSON" in said["bad.json"]


def test_sa1b_files_beside_their_images_are_read(project: Project, tmp_path: Path) -> None:
    square = Rle.encode(SQUARE).to_coco()
    size = {"width": 48, "height": 32}
    sidecar = {
        "image": {"file_name": "sa_1.png", **size},
        "annotations": [{"id": 7, "segmentation": square}],
    }

    folder = archives.write_folder(
        tmp_path / "sa", {"sa_1.png": archives.photo(1), "sa_1.json": json.dumps(sidecar).encode()}
    )

    run = run_folder(project, folder)

    assert (run.num_images, run.num_masks, run.num_refused) == (1, 1, 0)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("../evil.png", "leads out"),
        ("a/../../evil.png", "leads out"),
        ("/tmp/evil.png", "absolute"),
        ("C:\\evil.png", "absolute"),
        ("..\\evil.png", "backslash"),
        ("a\nb.png", "control characters"),
        ("more.zip", "archive inside"),
        ("x" * 500 + ".png", "too long"),
    ],
)
def test_names_that_lead_elsewhere_are_refused_and_nothing_is_written_there(
    project: Project, tmp_path: Path, name: str, reason: str
) -> None:
    files = {name: archives.photo(1), "good.png": archives.photo(2)}

    run = run_zip(project, archives.zip_of(files), tmp_path)

    assert reason in reasons(run)[name[:400]]
    assert (run.num_images, run.num_refused) == (1, 1)
    assert not list(tmp_path.parent.glob("**/evil.png"))


def test_links_encryption_and_doubled_names_are_refused(project: Project, tmp_path: Path) -> None:
    assert (
        "link"
        in reasons(run_zip(project, archives.link("l.png", "/etc/passwd"), tmp_path))["l.png"]
    )
    secret = archives.encrypted({"s.png": archives.photo(1)})
    assert reasons(run_zip(project, secret, tmp_path))["s.png"] == "it is encrypted"
    assert Image.objects.count() == 0


def test_bombs_are_refused_before_or_while_they_inflate(
    project: Project, tmp_path: Path, settings: Any
) -> None:
    zeros = bytes(80 << 20)
    plain = run_zip(project, archives.zip_of({"zeros.png": zeros}), tmp_path)
    lying = archives.lying_about_size("zeros.png", zeros, claimed_bytes=1000)
    lied = run_zip(project, lying, tmp_path)

    assert "times its size" in reasons(plain)["zeros.png"]
    assert "zeros.png" in reasons(lied)
    settings.MAX_UNPACKED_BYTES = 5000
    many = {f"{i}.png": archives.photo(i) for i in range(9)}
    cut = run_zip(project, archives.zip_of(many), tmp_path)
    assert (cut.num_images, cut.num_refused) == (1, 8)
    assert set(reasons(cut).values()) == {"the archive inflates to more than it may"}


def test_an_archive_of_too_many_files_is_refused_before_it_is_listed(
    project: Project, tmp_path: Path
) -> None:
    with pytest.raises(InvalidInput, match="more than 200000 files"):
        run_zip(project, archives.with_many_entries(1_000_000), tmp_path)


@pytest.mark.parametrize("data", [b"", b"PK\x05\x06", b"hello" * 10, archives.zip_of(pets())[:900]])
def test_what_is_no_archive_is_refused_at_once(
    project: Project, tmp_path: Path, data: bytes
) -> None:
    with pytest.raises(InvalidInput, match="not a zip archive"):
        run_zip(project, data, tmp_path)
    assert DatasetImport.objects.count() == 0


def test_damaged_members_are_named_and_the_others_kept(project: Project, tmp_path: Path) -> None:
    good = archives.zip_of({"a.png": archives.photo(1), "b.png": archives.photo(2)})
    data = bytearray(good)
    at = data.find(b"b.png") + 200
    data[at : at + 50] = bytes(50)

    run = run_zip(project, bytes(data), tmp_path)

    assert (run.num_images, list(reasons(run))) == (1, ["b.png"])


def test_links_in_a_folder_are_not_followed(project: Project, tmp_path: Path) -> None:
    secret = archives.write_folder(tmp_path / "secret", {"s.png": archives.photo(1)})
    folder = archives.write_folder(tmp_path / "in", {"a.png": archives.photo(2)})
    (folder / "link.png").symlink_to(secret / "s.png")
    (folder / "sub").symlink_to(secret)

    run = run_folder(project, folder)

    assert run.num_images == 1
    assert set(reasons(run)) == {"link.png", "sub"}


def test_an_abandoned_job_fails_its_import_and_a_retry_reopens_it(
    project: Project, tmp_path: Path
) -> None:
    run = imports.request_folder_import(project, path=tmp_path, actor=project.created_by)
    claim = jobs.claim(QUEUES, worker="w")
    assert claim is not None
    jobs.fail(claim, error="no such disk", retryable=False)
    run.refresh_from_db()
    assert run.status == "failed"

    assert run.job is not None
    run.job.refresh_from_db()
    jobs.retry(run.job, actor=project.created_by)

    run.refresh_from_db()
    assert run.status == "pending"


def test_annotators_import_nothing(project: Project, tmp_path: Path) -> None:
    with pytest.raises(NotAllowed):
        imports.request_folder_import(project, path=tmp_path, actor=factories.make_user())


def test_a_turned_photo_of_a_dataset_has_masks_of_its_upright_size(
    project: Project, tmp_path: Path
) -> None:
    exif = PillowImage.Exif()
    exif[0x0112] = 6
    buffer = io.BytesIO()
    PillowImage.new("RGB", (48, 32)).save(buffer, "JPEG", exif=exif)
    upright = Rle.encode(SQUARE.T).to_coco()
    files = {
        "p.jpg": buffer.getvalue(),
        "coco.json": archives.coco(
            [archives.image_entry(1, "p.jpg", width=32, height=48)], [archives.entry(1, 1, upright)]
        ),
    }

    run = run_folder(project, archives.write_folder(tmp_path / "t", files))

    assert (run.num_masks, run.num_refused) == (1, 0)
    assert storage.local_copy(Image.objects.get().storage_key).is_file()
