"""Training the detector: it finds new objects, resumes exactly and reports held-out figures."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from sam.checkpoints import checkpoint_files
from sam.detection import object_detector
from sam.detection.object_detector import DetectorConfig, ObjectDetector
from sam.modeling.model import build
from tests.sam.test_object_detector import random_features
from tests.training.blobs import write_blobs
from training.data.manifest import open_dataset
from training.detector.detector_config import DetectorTrainConfig, steps_for
from training.detector.detector_loss import (
    FlatOutput,
    assign_targets,
    detection_loss,
    flatten_levels,
)
from training.detector.detector_metrics import (
    ImageDetections,
    balanced_threshold,
    detection_metrics,
    metrics_by_source,
)
from training.detector.train_detector import train_detector
from training.evaluation.report import detector_table
from training.loop.optimisation import TrainStopped
from training.loop.run_folder import TrainError

QUICK = DetectorTrainConfig(
    num_steps=6, images_per_step=2, warmup_steps=2, checkpoint_every_steps=2, width=16
)


def test_a_trained_detector_finds_objects_in_images_it_never_saw(tmp_path: Path, sam: Path) -> None:
    manifest = write_blobs(tmp_path / "data", num_train=24, num_holdout=8)
    config = replace(QUICK, num_steps=150, images_per_step=4, width=32)

    result = train_detector(config, manifest, sam, None, tmp_path / "run")

    assert result.metrics["num_images"] == 8
    assert result.metrics["num_boxes"] == 24
    assert result.metrics["recall_50_at_100"] > 0.8
    assert result.metrics["ap_50"] > 0.5
    detector = object_detector.load(result.checkpoint_path)
    assert 0.05 < detector.config.score_thresh < 0.95
    assert detector.config.encoder_sha256 == checkpoint_files.encoder_sha256(
        checkpoint_files.load(sam)
    )


@pytest.mark.parametrize("notes", [True, False])
def test_a_detector_keeps_how_large_its_objects_are_where_images_are_of_one_kind(
    tmp_path: Path, sam: Path, notes: bool
) -> None:
    manifest = write_blobs(tmp_path / "data", num_train=3, num_holdout=1)
    images = open_dataset(manifest, split="train").require_split("train")
    sides_px = [max(mask.rle.bbox_xywh_px[2:]) for image in images for mask in image.masks]

    result = train_detector(
        replace(QUICK, notes_object_size=notes), manifest, sam, None, tmp_path / "run"
    )

    noted_px = object_detector.load(result.checkpoint_path).config.object_side_px
    assert noted_px == (np.median(sides_px) if notes else None)


def test_the_start_detector_is_measured_on_the_same_images(tmp_path: Path, sam: Path) -> None:
    manifest = write_blobs(tmp_path / "data", num_train=2, num_holdout=1)
    first = train_detector(QUICK, manifest, sam, None, tmp_path / "first")

    second = train_detector(QUICK, manifest, sam, first.checkpoint_path, tmp_path / "second")

    assert second.metrics["start_recall_50_at_100"] == first.metrics["recall_50_at_100"]
    assert second.metrics["start_ap_50"] == first.metrics["ap_50"]


def test_a_start_detector_of_a_retrained_encoder_lends_its_weights_only(
    tmp_path: Path, sam: Path
) -> None:
    manifest = write_blobs(tmp_path / "data", num_train=2, num_holdout=1)
    first = train_detector(QUICK, manifest, sam, None, tmp_path / "first")
    retrained = tmp_path / "retrained.safetensors"
    checkpoint_files.save(build("tiny", seed=9), retrained)

    second = train_detector(
        replace(QUICK, num_steps=1, learning_rate=1e-9),
        manifest,
        retrained,
        first.checkpoint_path,
        tmp_path / "second",
    )

    before, after = load_file(first.checkpoint_path), load_file(second.checkpoint_path)
    assert all(torch.allclose(before[name], after[name], atol=1e-6) for name in before)
    config = object_detector.read_header(second.checkpoint_path).config
    assert config.encoder_sha256 == checkpoint_files.encoder_sha256(
        checkpoint_files.load(retrained)
    )
    assert "recall_50_at_100" in second.metrics
    assert not any(name.startswith("start_") for name in second.metrics)


def test_a_start_detector_of_another_shape_is_refused(tmp_path: Path, sam: Path) -> None:
    manifest = write_blobs(tmp_path / "data", num_train=2)
    other = tmp_path / "other.safetensors"
    shape = object_detector.config_for(build("tiny_vit", seed=0))
    object_detector.save(ObjectDetector(shape), other)

    with pytest.raises(TrainError, match="reads features of another shape"):
        train_detector(QUICK, manifest, sam, other, tmp_path / "run")


def test_a_stopped_run_resumes_to_the_same_weights_bit_for_bit(tmp_path: Path, sam: Path) -> None:
    manifest = write_blobs(tmp_path / "data", num_train=3)
    questions = iter([False] * 6 + [True])  # three images, three steps

    whole = train_detector(QUICK, manifest, sam, None, tmp_path / "whole")
    with pytest.raises(TrainStopped, match="stopped after 3 of 6 steps"):
        train_detector(
            QUICK, manifest, sam, None, tmp_path / "cut", should_stop=lambda: next(questions)
        )
    resumed = train_detector(QUICK, manifest, sam, None, tmp_path / "cut")

    first, second = load_file(whole.checkpoint_path), load_file(resumed.checkpoint_path)
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert whole.metrics == {}  # nothing was held out


def outputs() -> FlatOutput:
    config = DetectorConfig(
        encoder_sha256="e", image_size_px=128, embed_channels=16, high_res_channels=8, width=8
    )
    torch.manual_seed(0)
    with torch.no_grad():
        return flatten_levels(ObjectDetector(config)(random_features(config)))


def test_a_box_belongs_to_the_level_of_its_size_and_to_its_middle() -> None:
    output = outputs()
    boxes = torch.tensor([[40.0, 40.0, 72.0, 72.0], [0.0, 0.0, 120.0, 120.0]])

    targets = assign_targets(output, boxes_xyxy=boxes, input_hw=(128, 128), unknown_weight=0.3)

    of_small = targets.box_index == 0
    of_large = targets.box_index == 1
    assert set(output.strides_px[of_small].tolist()) == {8.0}
    assert set(output.strides_px[of_large].tolist()) == {16.0}
    # stride 8, centre (56, 56): positions 52 and 60 and, within 1.5 strides, 44 and 68
    assert sorted(set(output.centers_xy[of_small][:, 0].tolist())) == [44.0, 52.0, 60.0, 68.0]


def test_a_box_smaller_than_a_stride_still_has_a_position() -> None:
    output = outputs()
    boxes = torch.tensor([[9.0, 9.0, 12.0, 12.0]])

    targets = assign_targets(output, boxes_xyxy=boxes, input_hw=(128, 128), unknown_weight=0.3)

    assert output.centers_xy[targets.box_index == 0].tolist() == [[12.0, 12.0]]


def test_nothing_here_is_certain_only_around_labelled_objects_and_absent_on_padding() -> None:
    output = outputs()
    boxes = torch.tensor([[40.0, 40.0, 60.0, 60.0]])

    targets = assign_targets(output, boxes_xyxy=boxes, input_hw=(100, 128), unknown_weight=0.3)

    def weight_at(x: float, y: float) -> float:
        at = (output.centers_xy == torch.tensor([x, y])).all(1) & (output.strides_px == 8)
        return round(float(targets.negative_weight[at]), 3)

    assert weight_at(52.0, 52.0) == 0.0  # positive
    assert weight_at(36.0, 36.0) == 1.0  # beside the object
    assert weight_at(12.0, 92.0) == 0.3  # far away: perhaps nobody labelled there
    assert weight_at(52.0, 108.0) == 0.0  # padding


def test_perfect_boxes_and_scores_cost_next_to_nothing() -> None:
    output = outputs()
    boxes = torch.tensor([[40.0, 40.0, 72.0, 72.0]])
    targets = assign_targets(output, boxes_xyxy=boxes, input_hw=(128, 128), unknown_weight=0.3)
    positive = targets.box_index >= 0
    perfect = replace(
        output,
        score_logits=torch.where(positive, 20.0, -20.0)[None],
        boxes_xyxy=torch.where(positive[:, None], boxes, output.boxes_xyxy[0])[None],
    )

    loss = detection_loss(perfect, targets=[targets], boxes_xyxy=[boxes])
    untrained = detection_loss(output, targets=[targets], boxes_xyxy=[boxes])

    assert float(loss["loss"]) < 1e-3
    assert float(untrained["loss"]) > 1.0


def test_an_image_without_boxes_teaches_only_that_nothing_is_there() -> None:
    output = outputs()
    boxes = torch.zeros(0, 4)
    targets = assign_targets(output, boxes_xyxy=boxes, input_hw=(128, 128), unknown_weight=0.3)

    loss = detection_loss(output, targets=[targets], boxes_xyxy=[boxes])

    assert float(loss["box"]) == 0.0
    assert float(loss["score"]) > 0.0


def detections(
    boxes: list[list[float]],
    scores: list[float],
    truth: list[list[float]],
    source: str = "all",
) -> ImageDetections:
    return ImageDetections(
        boxes_xyxy_px=np.array(boxes, dtype=float).reshape(-1, 4),
        scores=np.array(scores),
        truth_xyxy_px=np.array(truth, dtype=float).reshape(-1, 4),
        source=source,
    )


def test_recall_and_precision_are_counted_by_hand() -> None:
    a, b, c = [0.0, 0.0, 10.0, 10.0], [20.0, 20.0, 30.0, 30.0], [50.0, 50.0, 60.0, 60.0]
    miss = [90.0, 90.0, 99.0, 99.0]
    images = [
        detections([a, a, b], [0.9, 0.8, 0.7], [a, b]),  # hit, double, hit
        detections([miss], [0.6], [c]),
    ]

    metrics = detection_metrics(images)

    assert metrics["recall_50_at_100"] == pytest.approx(2 / 3)
    # ranked: hit (1/1), double, hit (2/3), miss; envelope at the hits 1 and 2/3, over 3 boxes
    assert metrics["ap_50"] == pytest.approx((1 + 2 / 3) / 3)
    assert (metrics["num_boxes"], metrics["num_images"]) == (3, 2)


def test_figures_are_told_by_source_each_by_itself() -> None:
    a, b, far = [0.0, 0.0, 10.0, 10.0], [20.0, 20.0, 30.0, 30.0], [90.0, 90.0, 99.0, 99.0]
    images = [
        detections([a], [0.9], [a, b], "nuclei"),
        detections([a, far], [0.8, 0.7], [a], "leaves"),
        detections([far], [0.6], [b], "nuclei"),
    ]

    by_source, shown = metrics_by_source(images), detector_table(images).splitlines()

    assert list(by_source) == ["leaves", "nuclei"]
    assert by_source["leaves"] == {
        "recall_50_at_100": 1.0,
        "ap_50": 1.0,
        "num_boxes": 1,
        "num_images": 1,
    }
    # One hit of three boxes, ranked first: precision 1 over a third of the recall.
    assert by_source["nuclei"]["recall_50_at_100"] == pytest.approx(1 / 3)
    assert by_source["nuclei"]["ap_50"] == pytest.approx(1 / 3)
    assert [line.split() for line in shown[1:]] == [
        ["leaves", "1", "1", "1.000", "1.000"],
        ["nuclei", "2", "3", "0.333", "0.333"],
        ["mean", "over", "sources", "3", "4", "0.667", "0.667"],
        ["all", "boxes", "3", "4", "0.500", "0.500"],
    ]


def test_the_noted_threshold_balances_hits_and_false_boxes() -> None:
    a, b = [0.0, 0.0, 10.0, 10.0], [20.0, 20.0, 30.0, 30.0]
    misses = [[100.0 + 20 * i, 0.0, 110.0 + 20 * i, 10.0] for i in range(3)]
    image = detections([a, b, *misses], [0.9, 0.6, 0.5, 0.4, 0.3], [a, b])

    # F1 is 2/3 with one box, 1 with two, then falls: 4/5, 2/3, 4/7
    assert balanced_threshold([image], fallback=0.3) == 0.6
    nothing = detections([misses[0]], [0.9], [a])
    assert balanced_threshold([nothing], fallback=0.3) == 0.3


def test_only_the_best_hundred_boxes_count() -> None:
    truth = [0.0, 0.0, 10.0, 10.0]
    boxes = [[200.0 + i, 0.0, 210.0 + i, 10.0] for i in range(100)] + [truth]
    scores = [0.9] * 100 + [0.1]

    metrics = detection_metrics([detections(boxes, scores, [truth])])

    assert metrics["recall_50_at_100"] == 0.0
    assert metrics["ap_50"] == 0.0


def test_the_length_of_a_run_follows_the_number_of_images() -> None:
    config = DetectorTrainConfig()

    assert steps_for(5, config=config) < steps_for(500, config=config)
    assert steps_for(5, config=replace(config, num_steps=7)) == 7
