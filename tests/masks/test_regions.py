from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from masks.regions import deepest_point, fill_holes, keep_components, largest_component

shapes = st.tuples(st.integers(1, 20), st.integers(1, 20))


def image(*rows: str) -> np.ndarray:
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
    mask = image("#....##", ".#...##", "..#....")

    assert np.array_equal(keep_components(mask, 4), image(".....##", ".....##", "......."))
    assert np.array_equal(keep_components(mask, 3), mask)
    assert np.array_equal(largest_component(mask), keep_components(mask, 4))


def test_holes_up_to_the_limit_are_filled_and_larger_ones_stay() -> None:
    mask = image("########", "#.#..#.#", "#####..#", "########")

    filled = fill_holes(mask, 1)

    assert np.array_equal(filled, image("########", "###..#.#", "#####..#", "########"))
    assert fill_holes(mask, 5).all()


@given(hnp.arrays(np.bool_, shapes), st.integers(0, 30))
def test_cleaning_only_ever_removes_islands_and_adds_holes(mask: np.ndarray, area: int) -> None:
    assert not (keep_components(mask, area) & ~mask).any()
    assert not (mask & ~fill_holes(mask, area)).any()
    assert largest_component(mask).sum() <= mask.sum()


def parts_by_flooding(mask: np.ndarray) -> list[set[tuple[int, int]]]:
    """The 8-connected parts, found pixel by pixel: slow, and nothing like the code under test."""
    left = {(int(y), int(x)) for y, x in np.argwhere(mask)}
    parts = []
    for start in sorted(left):
        if start not in left:
            continue
        part, edge = set(), [start]
        while edge:
            pixel = edge.pop()
            if pixel in left:
                left.remove(pixel)
                part.add(pixel)
                y, x = pixel
                edge += [(y + dy, x + dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)]
        parts.append(part)
    return parts


def painted(parts: list[set[tuple[int, int]]], shape: tuple[int, ...]) -> np.ndarray:
    mask = np.zeros(shape, dtype=bool)
    for part in parts:
        for y, x in part:
            mask[y, x] = True
    return mask


line_shapes = st.one_of(
    shapes, st.tuples(st.just(1), st.integers(1, 40)), st.tuples(st.integers(1, 40), st.just(1))
)


@given(hnp.arrays(np.bool_, line_shapes), st.integers(0, 12))
def test_islands_and_holes_are_the_parts_that_flooding_finds(mask: np.ndarray, area: int) -> None:
    islands, holes = parts_by_flooding(mask), parts_by_flooding(~mask)
    large = [part for part in islands if len(part) >= area]
    small = [part for part in holes if len(part) <= area]

    assert np.array_equal(keep_components(mask, area), painted(large, mask.shape))
    assert np.array_equal(fill_holes(mask, area), mask | painted(small, mask.shape))
    largest = [max(islands, key=len)] if islands else []
    assert np.array_equal(largest_component(mask), painted(largest, mask.shape))


@given(hnp.arrays(np.bool_, line_shapes).filter(np.any))
def test_the_deepest_point_is_as_far_from_the_outside_as_any_pixel(mask: np.ndarray) -> None:
    padded = np.pad(mask, 1)
    outside = np.argwhere(~padded)
    depth = {
        (int(y), int(x)): int(((outside - (y, x)) ** 2).sum(1).min())
        for y, x in np.argwhere(padded)
    }

    x, y = deepest_point(mask)

    assert depth[y + 1, x + 1] == max(depth.values())


@pytest.mark.slow
@pytest.mark.parametrize("value", [False, True])
def test_sixty_megapixels_of_one_kind_are_one_part_or_one_hole(value: bool) -> None:
    mask = np.full((7_500, 8_000), value)

    assert np.array_equal(keep_components(mask, 60_000_000), mask)
    assert np.array_equal(largest_component(mask), mask)
    assert fill_holes(mask, 60_000_000).all()
    assert not keep_components(mask, 60_000_001).any()
