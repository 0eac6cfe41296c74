from __future__ import annotations

import numpy as np
import pytest

from masks.crops import (
    MIN_SIDE_PX,
    Crop,
    CropError,
    crop_at,
    crop_for,
    level_for_view,
    max_level,
    side_px,
)

SIZES = [(256, 256), (603, 1272), (100, 1000), (192, 100), (191, 191), (1024, 1024), (3001, 4001)]


@pytest.mark.parametrize("image_hw", SIZES)
def test_every_place_is_near_the_middle_of_its_square(image_hw: tuple[int, int]) -> None:
    height, width = image_hw
    random = np.random.default_rng(0)
    for level in range(1, max_level(image_hw) + 1):
        side = side_px(image_hw, level)
        for x, y in random.random((50, 2)) * (width, height):
            left, top, w, h = crop_at(image_hw, level, x_px=x, y_px=y).xywh_px(image_hw)
            assert left >= 0
            assert top >= 0
            assert left + w <= width
            assert top + h <= height
            for place, start, extent, length in ((x, left, w, width), (y, top, h, height)):
                assert extent == min(side, length)
                is_central = abs(place - start - extent / 2) <= side / 4 + 1
                is_at_border = min(place, length - place) <= side / 2
                assert is_central or is_at_border


@pytest.mark.parametrize("image_hw", SIZES)
def test_levels_end_where_squares_would_be_tiny(image_hw: tuple[int, int]) -> None:
    deepest = max_level(image_hw)

    assert side_px(image_hw, deepest) >= MIN_SIDE_PX > side_px(image_hw, deepest + 1)


def test_small_objects_are_looked_at_until_they_are_not_small() -> None:
    image_hw = (1024, 1024)

    assert crop_for((500, 500, 64, 10), image_hw=image_hw) is None
    assert crop_for((500, 500, 63, 10), image_hw=image_hw) == Crop(1, 1, 1)
    assert crop_for((500, 500, 31, 10), image_hw=image_hw) == Crop(2, 3, 3)
    assert crop_for((0, 0, 2, 2), image_hw=image_hw) == Crop(3, 0, 0)
    assert crop_for((3, 3, 2, 2), image_hw=(90, 90)) is None


@pytest.mark.parametrize("image_hw", SIZES)
def test_a_small_object_lies_whole_in_its_square(image_hw: tuple[int, int]) -> None:
    height, width = image_hw
    random = np.random.default_rng(1)
    num_close = 0
    for _ in range(2000):
        w, h = (
            min(length, int(random.integers(1, max(image_hw) // 14 + 2)))
            for length in (width, height)
        )
        x, y = int(random.integers(0, width - w + 1)), int(random.integers(0, height - h + 1))
        crop = crop_for((x, y, w, h), image_hw=image_hw)
        if crop is None:
            continue
        num_close += 1
        left, top, square_w, square_h = crop.xywh_px(image_hw)
        assert left <= x
        assert top <= y
        assert x + w <= left + square_w
        assert y + h <= top + square_h
    assert num_close > 500


def test_what_a_person_sees_fits_the_square() -> None:
    image_hw = (1000, 2000)

    assert level_for_view(image_hw, visible_px=2000) == 0
    assert level_for_view(image_hw, visible_px=1001) == 0
    assert level_for_view(image_hw, visible_px=1000) == 1
    assert level_for_view(image_hw, visible_px=300) == 2
    assert level_for_view(image_hw, visible_px=1) == max_level(image_hw) == 4


def test_keys_are_read_back_and_others_explained() -> None:
    image_hw = (603, 1272)

    found = Crop.parse("2-1-6", image_hw=image_hw)

    assert found == Crop(2, 1, 6)
    assert found.key == "2-1-6"
    for key, why in [
        ("", "level-row-column"),
        ("2-1", "level-row-column"),
        ("0-0-0", "level-row-column"),
        ("2-1-" + "9" * 50, "level-row-column"),
        ("4-0-0", "3 levels"),
        ("2-3-0", "3 rows and 7 columns"),
        ("2-0-7", "3 rows and 7 columns"),
    ]:
        with pytest.raises(CropError, match=why):
            Crop.parse(key, image_hw=image_hw)
