"""Boundary F, against outlines counted by hand."""

from __future__ import annotations

import numpy as np
import pytest

from training.evaluation.boundary import boundary_f, outline, tolerance_px


def square(x0: int, y0: int, x1: int, y1: int, *, side: int = 40) -> np.ndarray:
    mask = np.zeros((side, side), dtype=bool)
    mask[y0:y1, x0:x1] = True
    return mask


def test_the_outline_of_a_square_is_its_rim() -> None:
    rim = outline(square(5, 5, 15, 15))

    assert rim.sum() == 4 * 10 - 4
    assert not rim[6:14, 6:14].any()


def test_the_image_border_is_outside() -> None:
    assert outline(np.ones((4, 6), dtype=bool)).sum() == 4 * 6 - 2 * 4


def test_equal_masks_agree_and_disjoint_ones_do_not() -> None:
    mask = square(5, 5, 15, 15)

    assert boundary_f(mask, mask, tolerance_px=1) == 1.0
    assert boundary_f(mask, square(30, 30, 38, 38), tolerance_px=1) == 0.0
    assert boundary_f(mask, np.zeros_like(mask), tolerance_px=1) == 0.0
    assert boundary_f(np.zeros_like(mask), np.zeros_like(mask), tolerance_px=1) == 1.0


def test_a_shift_within_the_tolerance_costs_nothing() -> None:
    mask, shifted = square(5, 5, 15, 15), square(7, 5, 17, 15)

    assert boundary_f(mask, shifted, tolerance_px=2) == 1.0
    # With 1 px: of the shifted rim's 36 pixels, its left column's inner 8 rows (x = 7) lie 2 from
    # the true rim's left column and 2 or more from its top; rows 6 and 13 are 1 from top or bottom.
    # That leaves 6 on the left, and 10 on the right (x = 16, 2 beyond x = 14) with all its rows;
    # the same the other way round: P = R = 20 / 36.
    assert boundary_f(mask, shifted, tolerance_px=1) == pytest.approx(20 / 36)


def test_precision_and_recall_are_told_apart() -> None:
    # Two squares in truth, one found: P = 1, R = 1/2, F = 2/3.
    one, other = square(2, 2, 10, 10), square(20, 20, 28, 28)

    assert boundary_f(one | other, one, tolerance_px=1) == pytest.approx(2 / 3)


def test_the_tolerance_is_a_share_of_the_diagonal() -> None:
    assert tolerance_px((600, 800)) == pytest.approx(7.5)
    assert tolerance_px((30, 40)) == 1.0
