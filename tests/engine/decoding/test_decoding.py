from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.decoding import resize
from engine.decoding.feeds import point_feeds, prompt_feeds
from engine.decoding.frame import DecoderFrame, DecoderSizes
from engine.decoding.prompts import DecoderPrompts
from engine.decoding.resize import to_image_mask
from engine.decoding.selection import choose_masks
from engine.domain.prompts import BoxPrompt, PointPrompt
from masks.rle import Rle

GOLDEN = Path(__file__).parents[2] / "golden"


@pytest.mark.parametrize("image_hw", [(480, 640), (640, 480), (333, 1001), (61, 64), (8, 8)])
def test_masks_are_upscaled_as_torch_does_it(image_hw: tuple[int, int]) -> None:
    torch = pytest.importorskip("torch")
    interpolate = torch.nn.functional.interpolate
    frame = DecoderFrame(image_hw, 256)
    low_res = np.random.default_rng(7).normal(size=(64, 64)).astype(np.float32)

    mask = to_image_mask(low_res, frame=frame)

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
    whole = to_image_mask(low_res, frame=frame)

    monkeypatch.setattr(resize, "ROWS_AT_ONCE", 64)

    assert np.array_equal(to_image_mask(low_res, frame=frame), whole)


def test_a_point_gets_a_padding_point_and_each_axis_its_own_scale() -> None:
    # 333 x 1001 at 1024: scale 1024/1001; height floor(333 * 1.02298 + .5) = 341, width 1024.
    frame = DecoderFrame((333, 1001), 1024)

    coords, labels = point_feeds(
        DecoderPrompts((PointPrompt(x_px=100.0, y_px=100.0, label=1),)), frame=frame
    )

    assert frame.input_hw == (341, 1024)
    np.testing.assert_allclose(coords[0], [[100 * 1024 / 1001, 100 * 341 / 333], [0, 0]], rtol=1e-6)
    assert labels.tolist() == [[1, -1]]


def test_a_box_follows_the_points_and_needs_no_padding() -> None:
    frame = DecoderFrame((512, 512), 1024)
    box = BoxPrompt(x0_px=10, y0_px=20, x1_px=30, y1_px=40)

    coords, labels = point_feeds(
        DecoderPrompts((PointPrompt(x_px=15, y_px=25, label=0),), box), frame=frame
    )

    # pixels are two of the model's wide: the background click means the middle of its pixel
    assert coords.tolist() == [[[31, 51], [20, 40], [60, 80]]]
    assert labels.tolist() == [[0, 2, 3]]


def test_one_prompt_offers_the_three_ambiguity_masks_best_first() -> None:
    scores = np.array([0.99, 0.2, 0.8, 0.5], np.float32)

    assert choose_masks(scores, num_prompts=1) == [2, 3, 1]
    assert choose_masks(scores, num_prompts=2) == [0]


def test_an_extremely_narrow_image_keeps_a_pixel_of_the_square() -> None:
    # 16384 x 8 at 512: 8 * 512 / 16384 = 0.25 rounds to no pixel at all.
    frame = DecoderFrame((16384, 8), 512)

    assert frame.input_hw == (512, 1)
    assert to_image_mask(np.ones((128, 128), np.float32), frame=frame).all()


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
        height, width = case["image_hw"]
        size = case["image_size_px"]
        raw = [prompt for prompt in case["prompts"] if prompt["type"] != "mask"]
        prompts = DecoderPrompts.parse(raw, image_hw=(height, width))
        earlier = np.full((size // 4, size // 4), 2, np.float32) if case["has_mask_input"] else None

        feeds = prompt_feeds(
            prompts,
            earlier,
            frame=DecoderFrame((height, width), size),
            sizes=DecoderSizes(size, size // 4),
        )

        np.testing.assert_allclose(
            feeds["point_coords"][0], case["point_coords"], rtol=1e-6, atol=1e-6
        )
        assert feeds["point_labels"][0].tolist() == case["point_labels"], case["name"]
        assert feeds["has_mask_input"].tolist() == [case["has_mask_input"]]
        assert feeds["mask_input"].shape == (1, 1, size // 4, size // 4)
        assert feeds["mask_input"][0, 0, 0, 0] == 2 * case["has_mask_input"]


def test_the_offered_mask_is_the_golden_one() -> None:
    for case in _golden("selection"):
        scores = np.array(case["predicted_iou"], np.float32)

        chosen = choose_masks(
            scores, num_prompts=case["num_prompts"], is_crossed=case["is_crossed"].__getitem__
        )

        assert chosen[0] == case["index"]


def test_upscaled_masks_are_the_golden_ones() -> None:
    for case in _golden("upscale"):
        frame = DecoderFrame(tuple(case["image_hw"]), case["image_size_px"])

        mask = to_image_mask(np.array(case["low_res_logits"], np.float32), frame=frame)

        assert Rle.encode(mask).to_coco() == case["rle"]
