"""The object detector: it finds what it was taught, in image pixels, and its files are checked."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from sam.checkpoints.checkpoint_files import CheckpointError
from sam.coordinates import Frame
from sam.detection import object_detector
from sam.detection.object_detector import DetectorConfig, ObjectDetector, decode_boxes
from sam.modeling.features import ImageFeatures
from sam.modeling.model import build
from sam.modeling.presets import PRESETS


def random_features(config: DetectorConfig, *, seed: int = 0) -> ImageFeatures:
    generator = torch.Generator().manual_seed(seed)
    size = config.image_size_px
    high_shape = (1, config.high_res_channels, size // 4, size // 4)
    return ImageFeatures(
        torch.randn(1, config.embed_channels, size // 16, size // 16, generator=generator),
        torch.randn(high_shape, generator=generator) if config.high_res_channels else None,
    )


def small(*, high_res_channels: int = 8) -> ObjectDetector:
    torch.manual_seed(0)
    return ObjectDetector(
        DetectorConfig(
            encoder_sha256="e" * 64,
            image_size_px=128,
            embed_channels=16,
            high_res_channels=high_res_channels,
            width=16,
        )
    ).eval()


def test_levels_cover_the_square_at_strides_8_to_64() -> None:
    detector = small()

    levels = detector(random_features(detector.config))

    assert [tuple(level.score_logits.shape) for level in levels] == [
        (1, 16, 16),
        (1, 8, 8),
        (1, 4, 4),
        (1, 2, 2),
    ]
    assert levels[0].centers_xy[0, 0].tolist() == [4.0, 4.0]
    assert levels[3].centers_xy[1, 1].tolist() == [96.0, 96.0]


def test_the_official_vit_layout_without_high_res_features_works() -> None:
    vit_b = PRESETS["vit_b"]
    config = DetectorConfig(
        encoder_sha256="e" * 64, image_size_px=1024, embed_channels=vit_b.embed_channels, width=8
    )
    detector = ObjectDetector(config).eval()

    boxes, scores = detector.detect(
        random_features(config), Frame((600, 1000), 1024), score_thresh=0.0, max_boxes=7
    )

    assert boxes.shape == (7, 4)
    assert (np.diff(scores) <= 0).all()


def test_boxes_decode_as_centre_offset_and_log_size() -> None:
    raw = torch.tensor([0.5, -1.0, 0.0, float(np.log(2.0))])

    box = decode_boxes(raw, centers_xy=torch.tensor([100.0, 60.0]), stride_px=8)

    # centre (100 + 0.5 * 8, 60 - 8) = (104, 52); sides 4 * 8 = 32 and 64
    assert box.tolist() == pytest.approx([88.0, 20.0, 120.0, 84.0])


def test_boxes_come_back_in_image_pixels_and_inside_the_image() -> None:
    detector = small()
    frame = Frame((300, 600), 128)

    boxes, scores = detector.detect(
        random_features(detector.config), frame, score_thresh=0.0, max_boxes=1000
    )

    assert len(boxes) == len(scores) > 10
    assert boxes.min() >= 0
    assert (boxes[:, [0, 2]] <= 600).all()
    assert (boxes[:, [1, 3]] <= 300).all()
    centers_y = (boxes[:, 1] + boxes[:, 3]) / 2
    assert centers_y.max() > 200  # the image's own scale, not the square's 64 rows


def test_a_high_threshold_leaves_nothing() -> None:
    detector = small()

    boxes, scores = detector.detect(
        random_features(detector.config), Frame((128, 128), 128), score_thresh=0.99
    )

    assert boxes.shape == (0, 4)
    assert scores.shape == (0,)


def test_a_saved_detector_detects_the_same(tmp_path: Path) -> None:
    detector = small()
    path = tmp_path / "detector.safetensors"

    object_detector.save(detector, path, {"steps": 3})
    loaded = object_detector.load(path)

    frame = Frame((100, 128), 128)
    features = random_features(detector.config)
    assert loaded.config == detector.config
    assert object_detector.read_header(path).metadata == {"steps": 3}
    expected = detector.detect(features, frame, score_thresh=0.0)
    found = loaded.detect(features, frame, score_thresh=0.0)
    assert np.array_equal(found.boxes_xyxy_px, expected.boxes_xyxy_px)
    assert np.array_equal(found.scores, expected.scores)


def test_features_of_another_model_are_refused() -> None:
    detector = small()
    other = replace(detector.config, high_res_channels=0)

    with pytest.raises(ValueError, match="high-resolution features are of another model"):
        detector.detect(random_features(other), Frame((128, 128), 128))
    wider = random_features(replace(detector.config, embed_channels=32))
    with pytest.raises(ValueError, match="one embedding of 16 channels at 128 px"):
        detector.detect(wider, Frame((128, 128), 128))
    with pytest.raises(ValueError, match="the frame is of 256 px"):
        detector.detect(random_features(detector.config), Frame((128, 128), 256))


def test_files_that_are_no_detector_are_refused(tmp_path: Path) -> None:
    missing = tmp_path / "nothing.safetensors"
    garbage = tmp_path / "garbage.safetensors"
    garbage.write_bytes(b"not a tensor file")
    cut = tmp_path / "cut.safetensors"
    object_detector.save(small(), cut)
    cut.write_bytes(cut.read_bytes()[:-100])

    with pytest.raises(CheckpointError, match="there is no detector at"):
        object_detector.load(missing)
    with pytest.raises(CheckpointError, match="not a readable safetensors file"):
        object_detector.load(garbage)
    with pytest.raises(CheckpointError, match="not a readable safetensors file"):
        object_detector.load(cut)


def test_a_sam_checkpoint_is_no_detector(tmp_path: Path) -> None:
    from sam.checkpoints import checkpoint_files

    path = tmp_path / "model.safetensors"
    checkpoint_files.save(build("tiny", seed=0), path)

    with pytest.raises(CheckpointError, match="is no Segloop detector"):
        object_detector.load(path)


def test_the_default_shape_follows_the_sam() -> None:
    config = object_detector.config_for(build("tiny", seed=0))

    assert (config.image_size_px, config.embed_channels, config.high_res_channels) == (128, 16, 8)
    assert len(config.encoder_sha256) == 64


def test_the_default_detector_of_the_starter_has_a_few_hundred_thousand_parameters() -> None:
    starter = PRESETS["starter"]
    detector = ObjectDetector(
        DetectorConfig(
            encoder_sha256="e" * 64,
            image_size_px=starter.image_size_px,
            embed_channels=starter.embed_channels,
            high_res_channels=starter.high_res_channels,
        )
    )

    assert 100_000 < sum(p.numel() for p in detector.parameters()) < 900_000
