"""The oracle annotator: where it clicks, when it stops, what it costs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from workers.replay import oracle
from workers.replay.oracle import Click


def square(*, x0: int, y0: int, side: int, size: int = 40) -> oracle.Mask:
    mask = np.zeros((size, size), dtype=bool)
    mask[y0 : y0 + side, x0 : x0 + side] = True
    return mask


def test_the_first_click_is_the_middle_of_the_object() -> None:
    truth = square(x0=10, y0=20, side=9)
    received: list[Sequence[Click]] = []

    def decode(clicks: Sequence[Click]) -> oracle.Mask:
        received.append(tuple(clicks))
        return truth

    oracle.draw(truth, decode)

    assert received == [(Click(14, 24, 1),)]


def test_a_good_mask_at_the_first_click_costs_two_and_a_half_seconds() -> None:
    truth = square(x0=5, y0=5, side=20)

    drawn = oracle.draw(truth, lambda _clicks: truth)

    assert len(drawn.clicks) == 1
    assert not drawn.is_brushed
    assert drawn.seconds == 1.0 + 1.5  # find it, click once


def test_nine_useless_clicks_end_with_the_brush_and_an_exact_mask() -> None:
    truth = square(x0=5, y0=5, side=20)
    nothing = np.zeros_like(truth)

    drawn = oracle.draw(truth, lambda _clicks: nothing)

    assert len(drawn.clicks) == 9
    assert drawn.is_brushed
    assert drawn.iou_by_clicks == 0.0
    assert np.array_equal(drawn.mask_hw, truth)
    assert drawn.seconds == 1.0 + 9 * 1.5 + 10.0


def test_clicking_stops_as_soon_as_the_mask_is_good_enough() -> None:
    truth = square(x0=0, y0=0, side=20)
    answers = [square(x0=0, y0=0, side=10), square(x0=0, y0=0, side=19)]  # IoU 0.25, then 0.9025

    drawn = oracle.draw(truth, lambda clicks: answers[len(clicks) - 1])

    assert len(drawn.clicks) == 2
    assert drawn.iou_by_clicks == pytest.approx(361 / 400)
    assert not drawn.is_brushed


def test_small_objects_are_looked_at_closer() -> None:
    small = square(x0=300, y0=200, side=24, size=512)
    large = square(x0=300, y0=200, side=32, size=512)

    crop = oracle.crop_of_object(small)

    assert crop is not None
    assert crop.level == 1
    assert oracle.crop_of_object(large) is None
    assert oracle.crop_of_object(square(x0=3, y0=3, side=2)) is None  # an image without crops


def test_a_small_object_is_clicked_in_its_crop_and_returned_in_pixels_of_the_image() -> None:
    truth = square(x0=20, y0=25, side=9)
    received: list[Sequence[Click]] = []

    def decode(clicks: Sequence[Click]) -> oracle.Mask:
        received.append(tuple(clicks))
        return square(x0=5, y0=15, side=9, size=30)[:, :20]

    drawn = oracle.draw_in_crop(truth, decode, xywh_px=(15, 10, 20, 30))

    assert received == [(Click(9, 19, 1),)]
    assert drawn.clicks == (Click(24, 29, 1),)
    assert np.array_equal(drawn.mask_hw, truth)
    assert drawn.seconds == 1.0 + 1.0 + 1.5  # find it, zoom in, click once


def test_each_true_mask_is_matched_once_by_its_best_proposal() -> None:
    truths = [square(x0=0, y0=0, side=20), square(x0=22, y0=22, side=10)]
    proposals = [
        square(x0=0, y0=0, side=18),  # IoU 0.81 with the first truth
        square(x0=0, y0=0, side=19),  # IoU 0.9025 with the first truth
        square(x0=30, y0=0, side=8),  # matches nothing
    ]

    assert oracle.match(proposals, truths, min_iou=0.75) == {1: 0}
