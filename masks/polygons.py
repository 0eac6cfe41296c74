"""Fill polygons as COCO's own tools do, so that areas and scores agree with them."""

from __future__ import annotations

import math
from collections.abc import Sequence

from pycocotools import mask as coco_mask

from masks.rle import MAX_PIXELS, Rle

MAX_OUTLINE_PX = 1_000_000
"""pycocotools writes five points a pixel of outline: a bound on its memory."""


class PolygonError(ValueError):
    """Polygons that cannot be filled; the message says why."""


def from_polygons(polygons: Sequence[Sequence[float]], height_px: int, width_px: int) -> Rle:
    """Return the union of polygons [x0, y0, x1, y1, ...] in pixels, cut off at the image's edges.

    Raises PolygonError.
    """
    if not 0 < height_px * width_px <= MAX_PIXELS:
        raise PolygonError(f"a mask of {height_px} x {width_px} px cannot be made")
    if not polygons or any(len(one) < 6 or len(one) % 2 for one in polygons):
        raise PolygonError("a polygon has at least three corners, each of an x and a y")
    if sum(_outline_px(polygon) for polygon in polygons) > MAX_OUTLINE_PX:
        raise PolygonError(f"the polygons' outline is longer than {MAX_OUTLINE_PX} px")
    floats = [[float(value) for value in polygon] for polygon in polygons]
    filled = coco_mask.merge(coco_mask.frPyObjects(floats, height_px, width_px))
    return Rle.from_coco(filled, image_hw=(height_px, width_px))


def _outline_px(polygon: Sequence[float]) -> float:
    corners = list(zip(polygon[::2], polygon[1::2], strict=True))
    return math.fsum(
        math.dist(a, b) for a, b in zip(corners, corners[1:] + corners[:1], strict=True)
    )
