"""Evaluation: clicks, boxes and baselines are measured as an annotator would meet them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from masks.rle import Rle
from sam.checkpoints import checkpoint_files
from sam.coordinates import Frame
from sam.modeling.model import build
from tests.training.blobs import write_blobs
from tests.training.oracle import oracle
from training.data.manifest import ManifestError, read_manifest
from training.data.targets import model_masks
from training.evaluation.evaluate import Measures, clicks_to, drawn_masks, evaluate, iou, next_click
from training.evaluation.metrics import (
    MaskScore,
    Metrics,
    bootstrap_interval,
    paired_difference,
)
from training.evaluation.recall import recall_settings


@pytest.fixture
def blobs(tmp_path: Path) -> Path:
    return write_blobs(tmp_path / "data", num_train=0, num_holdout=1)


def test_a_model_that_knows_the_truth_scores_high_where_its_own_rule_picks_it(blobs: Path) -> None:
    metrics = evaluate(oracle(blobs), blobs)

    # After one click the rule trusts the predicted IoU, which points at the empty mask 1.
    assert metrics.mean("clicks_1") == 0.0
    assert metrics.mean("oracle_1") > 0.8
    # From the second click on the single mask (index 0) counts, and it is right.
    assert metrics.mean("clicks_3") > 0.8
    # A box says as much as two clicks: the single mask again.
    assert metrics.mean("box") > 0.8


def test_clicks_follow_the_errors_and_the_logits_are_fed_back(blobs: Path) -> None:
    model = oracle(blobs)

    evaluate(model, blobs, clicks=(1, 2))

    first, second, box = model.seen
    assert first.point_labels.tolist() == [[1, -1]] * 3
    assert first.low_res_logits is None
    # The first answer was empty: the deepest missed point is the first click again.
    assert second.point_labels.tolist() == [[1, 1, -1]] * 3
    assert torch.equal(second.point_coords[:, 0], second.point_coords[:, 1])
    assert second.low_res_logits is not None
    assert second.low_res_logits.shape == (3, 1, 32, 32)
    assert box.point_labels.tolist() == [[2, 3]] * 3


def test_masks_are_measured_in_batches_of_one_image(blobs: Path) -> None:
    model = oracle(blobs)

    metrics = evaluate(model, blobs, max_masks_per_image=2)

    assert metrics.num_masks == 2
    assert all(len(prompts) == 2 for prompts in model.seen)


def test_large_images_are_measured_in_smaller_batches_with_the_same_result(
    blobs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = evaluate(oracle(blobs), blobs)
    monkeypatch.setattr("training.evaluation.evaluate.PIXELS_PER_BATCH", 2 * 128 * 128)
    model = oracle(blobs)

    parts = evaluate(model, blobs)

    assert parts == whole
    assert {len(prompts) for prompts in model.seen} == {1, 2}


def test_the_next_click_is_the_deepest_error() -> None:
    truth = np.zeros((20, 20), dtype=bool)
    truth[0:9, 0:9] = True
    missed = truth.copy()
    missed[0:3, 0:3] = False  # 3 x 3 missed
    spilled = missed.copy()
    spilled[12:19, 12:19] = True  # 7 x 7 too much

    assert next_click(truth, missed) == (1, 1, 1)
    assert next_click(truth, spilled) == (15, 15, 0)
    assert next_click(truth, truth) is None


def test_iou_of_masks() -> None:
    left = np.zeros((4, 4), dtype=bool)
    left[:, :2] = True
    top = np.zeros((4, 4), dtype=bool)
    top[:2] = True

    assert iou(left, top) == pytest.approx(4 / 12)
    assert iou(np.zeros((4, 4), dtype=bool), np.zeros((4, 4), dtype=bool)) == 1.0


def test_filling_the_box_is_measured_beside_the_model(blobs: Path) -> None:
    (image,) = read_manifest(blobs).images
    expected = []
    for mask in image.masks:
        _, _, width_px, height_px = mask.rle.bbox_xywh_px
        expected.append(mask.rle.area_px / (width_px * height_px))

    metrics = evaluate(oracle(blobs), blobs)

    assert [score.ious["fill_box"] for score in metrics.scores] == expected


def test_clicks_to_a_goal_are_the_first_that_reach_it() -> None:
    ious = np.array([[0.9, 0.2, 0.95], [0.1, 0.85, 0.8], [0.1, 0.2, 0.3]])

    needed, reached = clicks_to(0.85, ious)

    assert needed == [1.0, 2.0, 3.0]  # never reached: as many as were allowed
    assert reached == [1.0, 1.0, 0.0]


def test_outlines_goals_and_baselines_are_measured_on_the_same_prompts(blobs: Path) -> None:
    measures = Measures(iou_goals=(0.8,), boundary=True, baselines=True)

    metrics = evaluate(oracle(blobs), blobs, clicks=(1, 2), measures=measures)

    assert metrics.kinds == (
        "clicks_1",
        "clicks_2",
        "oracle_1",
        "box",
        "fill_box",
        "flood_1",
        "grabcut_box",
    )
    assert metrics.figures == (
        "clicks_to_80",
        "reached_80",
        "boundary_f_1",
        "boundary_f_5",
        "boundary_f_box",
    )
    # The rule picks the empty mask after one click, the right one from the second on.
    assert metrics.mean("clicks_to_80") == 2.0
    assert metrics.mean("reached_80") == 1.0
    assert metrics.mean("boundary_f_1") == 0.0
    assert metrics.mean("boundary_f_5") > 0.8  # the mask is drawn in cells of 4 pixels
    # Bright blobs on a dark ground: what needs no model finds them too.
    assert metrics.mean("flood_1") > 0.5
    assert metrics.mean("grabcut_box") > 0.8
    document = metrics.to_json()
    assert document["clicks_to_80"] == 2.0
    assert document["boundary_f_1_macro"] == 0.0
    assert document["sources"]["even"]["clicks_2_ci95"][0] <= metrics.mean("clicks_2")


def test_automatic_masks_are_matched_with_all_of_an_image_s_masks(blobs: Path) -> None:
    settings = recall_settings(points_per_side=8)

    metrics = evaluate(
        oracle(blobs),
        blobs,
        clicks=(1,),
        measures=Measures(automatic=settings),
        max_masks_per_image=2,
    )

    assert metrics.num_masks == 2
    assert metrics.figures == ("ar_100", "ar_1000")
    assert 0 < metrics.mean("ar_1000") <= 1


def test_an_image_that_cannot_be_read_is_left_out_of_the_evaluation(tmp_path: Path) -> None:
    manifest = write_blobs(tmp_path / "data", num_train=0, num_holdout=2)
    first, second = read_manifest(manifest).images
    second.image_path.write_bytes(second.image_path.read_bytes()[:300])

    metrics = evaluate(build("tiny", seed=0), manifest, clicks=(1,))

    assert {score.image_id for score in metrics.scores} == {first.image_id}
    assert len(metrics.problems) == 1
    assert "image blob-1: cannot read the image" in metrics.problems[0]
    first.image_path.write_bytes(b"")
    with pytest.raises(ManifestError, match="no usable image"):
        evaluate(build("tiny", seed=0), manifest, clicks=(1,))


def test_intervals_of_means_over_sources_resample_within_each() -> None:
    many = scores({str(i): [i % 2] for i in range(100)}, source="grains").scores
    one = scores({"b": [1.0]}, source="images").scores

    metrics = Metrics(scores=(*many, *one))

    low, high = metrics.macro_interval("clicks_1")
    # the second source never moves: 0.5 * [0.4, 0.6] + 0.5
    assert 0.68 < low < 0.73
    assert 0.77 < high < 0.82


def test_drawn_masks_are_the_same_whatever_their_order(blobs: Path) -> None:
    from dataclasses import replace

    (image,) = read_manifest(blobs).images
    turned = replace(image, masks=image.masks[::-1])

    assert drawn_masks(image, max_masks=2) == drawn_masks(turned, max_masks=2)
    assert drawn_masks(image, max_masks=5) == image.masks


def test_a_checkpoint_file_is_measured_on_its_held_out_side(tmp_path: Path) -> None:
    manifest = write_blobs(tmp_path / "data", num_train=1, num_holdout=2)
    checkpoint_files.save(build("tiny", seed=0), tmp_path / "model.safetensors")
    heard: list[float] = []

    metrics = evaluate(
        tmp_path / "model.safetensors",
        manifest,
        on_progress=lambda fraction, message, **figures: heard.append(fraction),
    )

    document = metrics.to_json()
    assert (document["num_images"], document["num_masks"]) == (2, 6)
    assert set(document) >= {"clicks_1_miou", "clicks_3_miou", "clicks_5_miou", "box_miou"}
    assert set(document["sources"]) == {"even", "odd"}
    assert 0 <= document["clicks_5_miou"] <= 1
    assert heard == [0.5, 1.0]
    assert Metrics.from_json(metrics.to_json(with_masks=True)) == metrics


def test_a_manifest_without_the_side_is_refused(tmp_path: Path) -> None:
    manifest = write_blobs(tmp_path / "data", num_train=1)

    with pytest.raises(ManifestError, match="no usable image on the holdout split"):
        evaluate(build("tiny", seed=0), manifest)


def scores(values: dict[str, list[float]], *, source: str = "s") -> Metrics:
    return Metrics(
        scores=tuple(
            MaskScore(image_id=image, mask_id=str(i), source=source, ious={"clicks_1": value})
            for image, ious in values.items()
            for i, value in enumerate(ious)
        )
    )


def test_macro_means_weigh_sources_alike() -> None:
    many = scores({"a": [0.0, 0.0, 0.0]}, source="grains").scores
    one = scores({"b": [1.0]}, source="images").scores

    metrics = Metrics(scores=(*many, *one))

    assert metrics.mean("clicks_1") == 0.25
    assert metrics.macro("clicks_1") == 0.5


def test_intervals_resample_images_not_masks() -> None:
    values = np.array([0.0] * 50 + [1.0] * 50)

    few_images = bootstrap_interval(values, groups=["a"] * 50 + ["b"] * 50)
    many_images = bootstrap_interval(values, groups=[str(i) for i in range(100)])

    assert few_images == (0.0, 1.0)
    assert 0.35 < many_images[0] < 0.45
    assert 0.55 < many_images[1] < 0.65


def test_one_image_is_never_a_sure_thing() -> None:
    values = np.array([-0.2] + [0.0] * 11)  # one mask of twelve is worse

    low, high = bootstrap_interval(values, groups=["a"] * 12)

    assert low < -0.01
    assert high == 0.0  # a third of the draws miss that mask


def test_two_checkpoints_are_compared_mask_by_mask() -> None:
    before = scores({"a": [0.1, 0.9], "b": [0.5], "c": [0.3]})
    after = scores({"a": [0.2, 1.0], "b": [0.6], "d": [0.0]})

    difference = paired_difference(before, after)

    assert difference.num_masks == 3
    assert difference.mean == pytest.approx(0.1)
    assert difference.low == pytest.approx(0.1)
    assert difference.high == pytest.approx(0.1)
    with pytest.raises(ValueError, match="no mask in common"):
        paired_difference(before, scores({"z": [1.0]}))


def test_masks_enter_the_model_frame_as_the_image_does() -> None:
    mask = np.zeros((100, 200), dtype=bool)
    mask[:50, 100:] = True

    (framed,) = model_masks([Rle.encode(mask)], frame=Frame((100, 200), 128))

    assert framed.shape == (128, 128)
    assert framed[:32, 64:].all()
    assert int(framed.sum()) == 32 * 64
