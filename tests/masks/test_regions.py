from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from masks.regions import deepest_point, fill_holes, keep_components, largest_component

shapes = st.tuples(st.integers(1, 20), st.integers(1, 20))


def picture(*rows: str) -> np.ndarray:
    return np.array([[pixel == "#" for pixel in row] for row in rows])


def test_the_deepest_point_is_the_middle_of_the_widest_part() -> None:
    mask = np.zeros((20, 30), dtype=bool)
    mask[3:12, 5:14] = True  # 9 x 9, middle at (9, 7)
    mask[7, 14:28] = True  # a thin tail

    assert deepest_point(mask) == (9, 7)


def test_the_border_of_the_image_counts_as_the_border_of_the_mask() -> None:
    assert deepest_point(np.ones((5, 9), dtype=bool)) == (2, 2)


@given(hnp.arrays(np.bool_, shapes))
def test_the_deepest_point_lies_in_the_mask_and_an_empty_mask_has_none(mask: np.ndarray) -> None:
    if not mask.any():
        with pytest.raises(ValueError, match="empty"):
            deepest_point(mask)
        return

    x, y = deepest_point(mask)

    assert mask[y, x]


def test_small_islands_go_and_corners_join_pixels_into_one_island() -> None:
    mask = picture("#....##", ".#...##", "..#....")

    assert np.array_equal(keep_components(mask, 4), picture(".....##", ".....##", "......."))
    assert np.array_equal(keep_components(mask, 3), mask)
    assert np.array_equal(largest_component(mask), keep_components(mask, 4))


def test_holes_up_to_the_limit_are_filled_and_larger_ones_stay() -> None:
    mask = picture("########", "#.#..#.#", "#####..#", "########")

    filled = fill_holes(mask, 1)

    assert np.array_equal(filled, picture("########", "###..#.#", "#####..#", "########"))
    assert fill_holes(mask, 5).all()


@given(hnp.arrays(np.bool_, shapes), st.integers(0, 30))
def test_cleaning_only_ever_removes_islands_and_adds_holes(mask: np.ndarray, area: int) -> None:
    assert not (keep_components(mask, area) & ~mask).any()
    assert not (mask & ~fill_holes(mask, area)).any()
    assert largest_component(mask).sum() <= mask.sum()
