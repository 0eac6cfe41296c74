from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from annotator_ui import decoding
from annotator_ui.decoding import DecoderFrame
from engine.domain.prompts import BoxPrompt, PointPrompt, parse_prompts
from masks.rle import Rle

GOLDEN = Path(__file__).parents[1] / "golden"


@pytest.mark.parametrize("image_hw", [(480, 640), (640, 480), (333, 1001), (61, 64), (8, 8)])
def test_masks_are_upscaled_as_torch_does_it(image_hw: tuple[int, int]) -> None:
    torch = pytest.importorskip("torch")
    interpolate = torch.nn.functional.interpolate
    frame = DecoderFrame(image_hw, 256)
    low_res = np.random.default_rng(7).normal(size=(64, 64)).astype(np.float32)

    mask = decoding.to_image_mask(low_res, frame=frame)

    square = interpolate(torch.from_numpy(low_res)[None, None], (256, 256), mode="bilinear")
    height, width = frame.input_hw
    photo = interpolate(square[..., :height, :width], image_hw, mode="bilinear")[0, 0].numpy()
    sure = np.abs(photo) > 1e-4  # at the very threshold the order of additions decides
    assert sure.mean() > 0.99
    assert np.array_equal(mask[sure], (photo > 0)[sure])


def test_a_photo_taller_than_one_block_of_rows_has_no_seam(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    low_res = np.random.default_rng(3).normal(size=(64, 64)).astype(np.float32)
    frame = DecoderFrame((700, 300), 256)
    whole = decoding.to_image_mask(low_res, frame=frame)

    monkeypatch.setattr(decoding, "ROWS_AT_ONCE", 64)

    assert np.array_equal(decoding.to_image_mask(low_res, frame=frame), whole)


def test_a_point_gets_a_padding_point_and_each_axis_its_own_scale() -> None:
    # 333 x 1001 at 1024: scale 1024/1001; height floor(333 * 1.02298 + .5) = 341, width 1024.
    frame = DecoderFrame((333, 1001), 1024)

    coords, labels = decoding.build_prompts(
        [PointPrompt(x_px=100.0, y_px=100.0, label=1)], None, frame=frame
    )

    assert frame.input_hw == (341, 1024)
    np.testing.assert_allclose(coords[0], [[100 * 1024 / 1001, 100 * 341 / 333], [0, 0]], rtol=1e-6)
    assert labels.tolist() == [[1, -1]]


def test_a_box_follows_the_points_and_needs_no_padding() -> None:
    frame = DecoderFrame((512, 512), 1024)
    box = BoxPrompt(x0_px=10, y0_px=20, x1_px=30, y1_px=40)

    coords, labels = decoding.build_prompts(
        [PointPrompt(x_px=15, y_px=25, label=0)], box, frame=frame
    )

    # pixels are two of the model's wide: the background click means the middle of its pixel
    assert coords.tolist() == [[[31, 51], [20, 40], [60, 80]]]
    assert labels.tolist() == [[0, 2, 3]]


def test_one_prompt_offers_the_three_ambiguity_masks_best_first() -> None:
    scores = np.array([0.99, 0.2, 0.8, 0.5], np.float32)

    assert decoding.choose_masks(scores, num_prompts=1) == [2, 3, 1]
    assert decoding.choose_masks(scores, num_prompts=2) == [0]


def _golden(name: str) -> list[dict[str, Any]]:
    cases = json.loads((GOLDEN / f"{name}.json").read_text())
    assert cases
    return cases


def test_coordinates_are_the_golden_ones() -> None:
    for case in _golden("coordinates"):
        frame = DecoderFrame(tuple(case["image_hw"]), case["image_size_px"])

        assert list(frame.input_hw) == case["input_hw"]
        found = [frame.to_model(x_px, y_px) for x_px, y_px in case["points_xy_px"]]
        np.testing.assert_allclose(found, case["points_xy_model"], rtol=1e-9)


def test_feeds_are_the_golden_ones() -> None:
    for case in _golden("feeds"):
        if case["has_mask_input"]:
            continue  # the server decodes without an earlier mask
        height, width = case["image_hw"]
        prompts = parse_prompts(case["prompts"], width_px=width, height_px=height)
        points = [prompt for prompt in prompts if isinstance(prompt, PointPrompt)]
        boxes = [prompt for prompt in prompts if isinstance(prompt, BoxPrompt)]
        frame = DecoderFrame((height, width), case["image_size_px"])

        coords, labels = decoding.build_prompts(points, boxes[0] if boxes else None, frame=frame)

        np.testing.assert_allclose(coords[0], case["point_coords"], rtol=1e-6, atol=1e-6)
        assert labels[0].tolist() == case["point_labels"], case["name"]


def test_the_offered_mask_is_the_golden_one() -> None:
    for case in _golden("selection"):
        scores = np.array(case["predicted_iou"], np.float32)

        chosen = decoding.choose_masks(
            scores, num_prompts=case["num_prompts"], is_crossed=case["is_crossed"].__getitem__
        )

        assert chosen[0] == case["index"]


def test_upscaled_masks_are_the_golden_ones() -> None:
    for case in _golden("upscale"):
        frame = DecoderFrame(tuple(case["image_hw"]), case["image_size_px"])

        mask = decoding.to_image_mask(np.array(case["low_res_logits"], np.float32), frame=frame)

        assert Rle.encode(mask).to_coco() == case["rle"]
