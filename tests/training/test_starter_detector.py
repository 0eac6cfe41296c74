"""The shipped detector's recipe: boxes of views, equal views by every loader, exact resume."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from sam.checkpoints import checkpoint_files
from sam.coordinates import Frame
from sam.detection import object_detector
from sam.modeling.model import build
from tests.training.blobs import blob_image
from training.detector.detector_config import DetectorTrainConfig
from training.loop.optimisation import TrainStopped
from training.loop.run_folder import TrainError
from training.scenes.labelled import LabelledImage, pack_layers
from training.starter import detector as starter_detector
from training.starter.batches import in_order
from training.starter.data import Pool, ViewSettings
from training.starter.detector import (
    BoxBatches,
    StarterDetectorConfig,
    boxes_of,
    train_starter_detector,
)
from training.starter.views import View

SIZE_PX = 128  # of the tiny model
QUICK = StarterDetectorConfig(
    num_steps=6,
    shapes=((16, 1), (8, 2)),
    views=ViewSettings(size_px=SIZE_PX, batch_images=2, max_masks=100),
    learning=DetectorTrainConfig(
        seed=7, notes_object_size=False, warmup_steps=2, checkpoint_every_steps=2
    ),
)


@pytest.fixture
def pool(tmp_path: Path) -> Pool:
    return pool_of(range(4), tmp_path)


def pool_of(seeds: Iterable[int], folder: Path) -> Pool:
    paths = []
    for seed in seeds:
        photo, masks = blob_image(seed=seed)
        path = folder / f"photo-{seed}.npz"
        LabelledImage(image_hwc_u8=photo, layers_lhw=pack_layers(masks)).save(path)
        paths.append(path)
    return Pool(photos_by_source={"blobs": tuple(paths)}, scenes=tuple(paths))


def trained(
    pool: Pool,
    sam: Path,
    out: Path,
    *,
    config: StarterDetectorConfig = QUICK,
    stop_after: int | None = None,
) -> list[Path]:
    steps: list[float] = []
    return train_starter_detector(
        pool,
        sam,
        config,
        out,
        on_progress=lambda fraction, message, **figures: steps.append(fraction),
        should_stop=lambda: stop_after is not None and len(steps) >= stop_after,
    )


def test_boxes_are_those_of_the_masks_without_what_covers_nearly_everything() -> None:
    masks = np.zeros((3, 10, 10), bool)
    masks[0, 2:5, 1:9] = True
    masks[1, :8, :10] = True  # all of the picture: rows below 8 are padding
    masks[2, 7, 3] = True
    view = View(image_hwc_u8=np.zeros((10, 10, 3), np.uint8), valid_hw=(8, 10), masks_nhw=masks)

    boxes = boxes_of(view, max_area_share=0.9)

    assert boxes.tolist() == [[1, 2, 9, 5], [3, 7, 4, 8]]
    assert boxes_of(replace(view, masks_nhw=masks[:0]), max_area_share=0.9).shape == (0, 4)


@pytest.mark.filterwarnings("ignore:This DataLoader will create")  # on a single core
def test_a_batch_depends_on_its_number_alone(pool: Pool) -> None:
    drawn = BoxBatches(
        model=build("tiny", seed=0), pool=pool, views=QUICK.views, seed=3, max_area_share=0.9
    )

    here = list(in_order(drawn, range(4), loaders=0))
    elsewhere = list(in_order(drawn, range(1, 4), loaders=2))

    for one, other in zip(here[1:], elsewhere, strict=True):
        assert torch.equal(one.images_b3ss, other.images_b3ss)
        assert one.valid_hw == other.valid_hw
        assert [b.tolist() for b in one.boxes_xyxy] == [b.tolist() for b in other.boxes_xyxy]
    assert not torch.equal(here[0].images_b3ss, here[1].images_b3ss)


def test_a_stopped_run_ends_as_an_uninterrupted_one(pool: Pool, sam: Path, tmp_path: Path) -> None:
    whole = trained(pool, sam, tmp_path / "whole")
    with pytest.raises(TrainStopped):
        trained(pool, sam, tmp_path / "stopped", stop_after=3)

    resumed = trained(pool, sam, tmp_path / "stopped")

    assert [path.name for path in resumed] == [
        "detector-16x1.safetensors",
        "detector-8x2.safetensors",
    ]
    for one, other in zip(whole, resumed, strict=True):
        assert object_detector.load(one).config == object_detector.load(other).config
        ours, theirs = load_file(one), load_file(other)
        assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_another_run_is_not_gone_on_with(pool: Pool, sam: Path, tmp_path: Path) -> None:
    trained(pool, sam, tmp_path / "run", config=replace(QUICK, num_steps=1))

    with pytest.raises(TrainError, match="config differ"):
        trained(pool, sam, tmp_path / "run", config=replace(QUICK, num_steps=2))


def test_a_detector_of_another_encoder_lends_its_weights(
    pool: Pool, sam: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other.safetensors"
    checkpoint_files.save(build("tiny", seed=9), other)
    (_, lent) = trained(pool, other, tmp_path / "before")
    still = replace(
        QUICK,
        num_steps=1,
        shapes=((8, 2),),
        start=lent,
        learning=replace(QUICK.learning, learning_rate=1e-9),
    )

    (begun,) = trained(pool, sam, tmp_path / "run", config=still)

    ours, theirs = load_file(begun), load_file(lent)
    assert all(torch.allclose(ours[name], theirs[name], atol=1e-6) for name in ours)
    assert object_detector.load(begun).config.encoder_sha256 == checkpoint_files.encoder_sha256(
        checkpoint_files.load(sam)
    )


def test_it_learns_to_find_blobs_in_photos_it_never_saw(sam: Path, tmp_path: Path) -> None:
    config = replace(
        QUICK,
        num_steps=300,
        shapes=((32, 2),),
        views=replace(QUICK.views, batch_images=4),
        learning=replace(QUICK.learning, warmup_steps=10),
    )

    (path,) = trained(pool_of(range(24), tmp_path), sam, tmp_path / "run", config=config)

    detector = object_detector.load(path)
    model = checkpoint_files.load(sam)
    assert detector.config.encoder_sha256 == checkpoint_files.encoder_sha256(model)
    assert detector.config.object_side_px is None  # it has learned from photos of all kinds
    assert 0.05 < detector.config.score_thresh < 0.95
    num_found = 0
    for seed in range(50, 58):
        photo, masks = blob_image(seed=seed)
        features = model.encode(model.preprocess(photo))
        found = detector.detect(features, Frame(photo.shape[:2], SIZE_PX)).boxes_xyxy_px
        view = View(image_hwc_u8=photo, valid_hw=photo.shape[:2], masks_nhw=np.stack(masks))
        for truth in boxes_of(view, max_area_share=0.9):
            num_found += bool((np.abs(found - truth).max(axis=1) < 6).any())  # px
    assert num_found >= 14  # of 24


def test_the_command_trains_on_what_it_finds(
    sam: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without any data set: procedural scenes alone."""
    arguments = ["--data", tmp_path / "nothing", "--sam", sam, "--out", tmp_path / "run"]
    arguments += ["--steps", 2, "--scenes", 9, "--batch-images", 1, "--shape", "8x1"]
    monkeypatch.setattr(sys, "argv", ["detector", *map(str, arguments)])

    assert starter_detector.main() == 0

    path = tmp_path / "run" / "detector-8x1.safetensors"
    assert capsys.readouterr().out == f"{path}\n"
    assert object_detector.load(path).config.width == 8
