"""Views for the shipped detector: repeatable, resumable, and with every mask of the window."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.training.blobs import blob_image
from training.manifest import read_manifest
from training.scenes.labelled import LabelledImage, pack_layers
from training.starter.data import Pool
from training.starter.detector_views import write_views


@pytest.fixture
def pool(tmp_path: Path) -> Pool:
    paths = []
    for seed in range(3):
        photo, masks = blob_image(seed=seed)
        path = tmp_path / f"photo-{seed}.npz"
        LabelledImage(image_hwc_u8=photo, layers_lhw=pack_layers(masks)).save(path)
        paths.append(path)
    return Pool(photos_by_source={"blobs": tuple(paths)}, scenes=tuple(paths))


def views(pool: Pool, out: Path, *, num: int) -> Path:
    return write_views(pool, out, num=num, size_px=96, photo_share=0.5, seed=1)


def test_views_are_readable_photos_with_masks_of_their_size(pool: Pool, tmp_path: Path) -> None:
    manifest = read_manifest(views(pool, tmp_path / "views", num=8))

    assert manifest.problems == ()
    assert len(manifest.images) >= 4
    for image in manifest.images:
        assert max(image.image_hw) <= 96
        assert 1 <= len(image.masks) <= 3
    blob = manifest.images[0].masks[0].rle.decode()
    assert 0 < blob.sum() < blob.size


def test_a_longer_run_goes_on_where_a_shorter_one_stopped(pool: Pool, tmp_path: Path) -> None:
    short = read_manifest(views(pool, tmp_path / "views", num=3))
    kept = {image.image_path: image.image_path.stat().st_mtime_ns for image in short.images}

    longer = read_manifest(views(pool, tmp_path / "views", num=6))

    assert longer.images[: len(short.images)] == short.images
    assert all(path.stat().st_mtime_ns == time_ns for path, time_ns in kept.items())
    whole = read_manifest(views(pool, tmp_path / "again", num=6))
    assert [np.array(i.image_hw).tolist() for i in whole.images] == [
        np.array(i.image_hw).tolist() for i in longer.images
    ]
    assert [[m.rle for m in i.masks] for i in whole.images] == [
        [m.rle for m in i.masks] for i in longer.images
    ]
