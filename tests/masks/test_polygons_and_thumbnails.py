"""Polygons as pycocotools fills them; masks seen small as their own pixels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as coco_mask

from masks.overlap import areas_and_boxes
from masks.polygons import PolygonError, from_polygons
from masks.rle import Rle
from masks.thumbnails import label_map

# pycocotools 2.0 under numpy 2
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

CORNER = st.floats(-20, 120, allow_nan=False)
POLYGON = st.lists(CORNER, min_size=6, max_size=20).map(lambda xs: xs[: len(xs) // 2 * 2])


@settings(max_examples=100, deadline=None)
@given(st.lists(POLYGON, min_size=1, max_size=3))
def test_polygons_are_filled_as_pycocotools_fills_them(polygons: list[list[float]]) -> None:
    expected = coco_mask.merge(coco_mask.frPyObjects(polygons, 80, 100))

    found = from_polygons(polygons, 80, 100)

    assert np.array_equal(found.decode(), coco_mask.decode(expected).astype(bool))


@pytest.mark.parametrize(
    ("polygons", "sentence"),
    [
        ([], "at least three corners"),
        ([[1.0, 2.0, 3.0, 4.0]], "at least three corners"),
        ([[1.0, 2.0, 3.0, 4.0, 5.0]], "at least three corners"),
        ([[0.0, 0.0, 1e9, 0.0, 0.0, 5.0]], "outline is longer"),
    ],
)
def test_polygons_that_cannot_be_filled_are_refused(
    polygons: list[list[float]], sentence: str
) -> None:
    with pytest.raises(PolygonError, match=sentence):
        from_polygons(polygons, 80, 100)


def test_a_mask_seen_small_shows_its_pixels_at_the_centres() -> None:
    rng = np.random.default_rng(1)
    mask_hw = rng.random((90, 120)) > 0.5

    found = label_map([Rle.encode(mask_hw)], height_px=30, width_px=40)

    assert np.array_equal(found > 0, mask_hw[1::3, 1::3])


def test_smaller_masks_lie_on_top() -> None:
    large, small = np.zeros((2, 40, 40), bool)
    large[5:35, 5:35] = True
    small[10:20, 10:20] = True

    found = label_map([Rle.encode(small), Rle.encode(large)], height_px=20, width_px=20)

    assert (found[7, 7], found[13, 13], found[0, 0]) == (1, 2, 0)


def test_areas_and_boxes_of_many_are_those_of_each() -> None:
    rng = np.random.default_rng(2)
    rles = [Rle.encode(rng.random((23, 31)) > share) for share in (0.3, 0.7, 0.99, 1.0)]

    areas, boxes = areas_and_boxes(rles)

    assert areas == [rle.area_px for rle in rles]
    assert boxes == [rle.bbox_xywh_px for rle in rles]
    assert areas_and_boxes([]) == ([], [])
