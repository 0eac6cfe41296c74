"""Prompts that people gave, given again to another model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from masks.rle import Rle
from sam.modeling.model import Sam, build
from sam.prompting.predictor import Predictor
from tests.training.blobs import write_blobs
from training.data.features import load_rgb
from training.data.manifest import ImageRecord, open_dataset, write_manifest
from training.evaluation.prompt_memory import (
    MASKS_PER_IMAGE,
    compare_memory,
    replay_memory,
    sequence_of,
)
from training.evaluation.sessions import iou


def point(x_px: float, y_px: float, label: int = 1) -> dict[str, Any]:
    return {"type": "point", "x_px": x_px, "y_px": y_px, "label": label}


BOX = {"type": "box", "x0_px": 20, "y0_px": 30, "x1_px": 60, "y1_px": 90}


@pytest.fixture(scope="module")
def model() -> Sam:
    return build("tiny", seed=0)


@pytest.fixture
def image(tmp_path: Path) -> ImageRecord:
    path = write_blobs(tmp_path / "blobs", num_train=0, num_holdout=1)
    (found,) = open_dataset(path).images
    return found


def remember(image: ImageRecord, *prompts: dict[str, Any]) -> ImageRecord:
    mask = replace(image.masks[0], prompts=prompts)
    return replace(image, masks=(mask,))


def test_the_answers_are_those_of_the_page_click_after_click_with_feedback(
    model: Sam, image: ImageRecord
) -> None:
    predictor = Predictor(model)
    predictor.set_image(load_rgb(image.image_path))
    clicks = [(40.0, 50.0, 1), (90.0, 20.0, 0), (42.0, 70.0, 1)]
    logits = None
    for count in range(1, len(clicks) + 1):
        given = np.array(clicks[:count])
        predicted = predictor.predict(
            point_coords=given[:, :2],
            point_labels=given[:, 2],
            mask_input=logits,
            multimask_output=count == 1,
        )
        best = int(predicted.predicted_iou.argmax())
        logits, answer = predicted.low_res_logits[best], predicted.masks_nhw[best]

    (found,) = replay_memory(model, [remember(image, *(point(*one) for one in clicks))]).values()

    assert found == pytest.approx(iou(image.masks[0].rle.decode(), answer), abs=1e-6)


def test_a_box_is_given_first_and_work_by_hand_is_passed_over(
    model: Sam, image: ImageRecord
) -> None:
    predictor = Predictor(model)
    predictor.set_image(load_rgb(image.image_path))
    answer = predictor.predict_boxes(np.array([[20, 30, 60, 90]])).masks_nhw[0]
    brush = {"type": "brush", "size_px": 8, "strokes": 1}

    (found,) = replay_memory(model, [remember(image, brush, BOX, {"type": "mask"})]).values()

    assert found == pytest.approx(iou(image.masks[0].rle.decode(), answer), abs=1e-6)


@pytest.mark.parametrize(
    "prompts",
    [
        [],
        [{"type": "brush", "size_px": 8, "strokes": 1}],
        [point(3, 4, 0)],
        [{"type": "point", "x_px": "left", "y_px": 2, "label": 1}],
        [{"type": "point", "x_px": 1, "label": 1}],
        [point(float("nan"), 2)],
    ],
    ids=["none", "by hand", "only background", "words", "half a point", "no number"],
)
def test_what_cannot_be_replayed_is_left_out(prompts: list[dict[str, Any]]) -> None:
    assert sequence_of(prompts) is None


def test_many_masks_of_an_image_are_represented_by_some_spread_evenly(
    model: Sam, image: ImageRecord
) -> None:
    masks = tuple(
        replace(image.masks[0], mask_id=str(number), prompts=(point(40, 50),))
        for number in range(3 * MASKS_PER_IMAGE)
    )

    found = replay_memory(model, [replace(image, masks=masks)])

    assert [int(mask_id) for _, mask_id in found] == list(range(0, 3 * MASKS_PER_IMAGE, 3))


def test_an_image_that_cannot_be_read_is_left_out(
    model: Sam, image: ImageRecord, tmp_path: Path
) -> None:
    gone = replace(image, image_path=tmp_path / "gone.png")

    assert replay_memory(model, [remember(gone, point(40, 50))]) == {}


def test_a_loss_on_every_image_is_surely_worse_and_opposite_votes_are_not() -> None:
    before = {(f"i{i}", f"m{i}"): 0.7 for i in range(8)}
    lost = compare_memory(before, dict.fromkeys(before, 0.5))
    mixed = compare_memory(
        before, {key: 0.7 + (0.05 if place % 2 else -0.05) for place, key in enumerate(before)}
    )

    assert (lost.serving, lost.candidate) == (pytest.approx(0.7), pytest.approx(0.5))
    assert lost.high == pytest.approx(-0.2)
    assert lost.worse_share == 1.0
    assert mixed.low < 0 < mixed.high
    assert mixed.num_masks == 8


def test_the_serving_models_own_pixels_are_no_advantage_while_the_object_is_the_same() -> None:
    own = {(f"i{i}", f"m{i}"): 1.0 for i in range(8)}

    alike = compare_memory(own, dict.fromkeys(own, 0.8))
    forgotten = compare_memory(own, dict.fromkeys(own, 0.6))

    assert (alike.mean, alike.low, alike.high, alike.worse_share) == (0.0, 0.0, 0.0, 0.0)
    assert (alike.serving, alike.candidate) == (1.0, pytest.approx(0.8))
    assert forgotten.high == pytest.approx(-0.15)


def test_two_memories_without_a_common_mask_cannot_be_compared() -> None:
    with pytest.raises(ValueError, match="no prompts"):
        compare_memory({("a", "1"): 0.5}, {("b", "1"): 0.5})


def test_prompts_survive_the_manifest_and_do_not_change_what_it_is(
    image: ImageRecord, tmp_path: Path
) -> None:
    path = tmp_path / "again.jsonl"
    remembered = remember(image, point(3, 4), BOX)
    write_manifest(path, images=[remembered])
    forgotten = tmp_path / "forgotten.jsonl"
    write_manifest(forgotten, images=[remember(image)])

    found = open_dataset(path)

    assert found.images[0].masks[0].prompts == (point(3, 4), BOX)
    assert found.images[0].masks[0].rle == Rle.encode(image.masks[0].rle.decode())
    assert found.fingerprint == open_dataset(forgotten).fingerprint
