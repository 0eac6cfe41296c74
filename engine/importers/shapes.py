"""Turn a dataset's segmentation into an exact mask: polygons, run lists or compressed codes."""

from __future__ import annotations

import math
from typing import Any

from engine.domain.errors import InvalidInput
from engine.domain.policy import MAX_RLE_CHARACTERS
from engine.importers.records import Annotation, ForeignMask
from masks.polygons import PolygonError, from_polygons
from masks.rle import Rle, RleError

MAX_VERTICES = 100_000


def mask_of(annotation: Annotation, *, image_hw: tuple[int, int]) -> ForeignMask:
    """Return the annotation's mask. InvalidInput says why it cannot be one of this image."""
    if annotation.size_hw not in (None, image_hw):
        raise InvalidInput(f"{_size(annotation.size_hw)} but the picture is {_size(image_hw)}")
    segmentation = annotation.segmentation
    try:
        if isinstance(segmentation, dict):
            rle = Rle.from_coco(segmentation, image_hw=image_hw)
        elif isinstance(segmentation, list) and segmentation:
            rle = from_polygons(_checked(segmentation), *image_hw)
        else:
            raise InvalidInput("it has no segmentation")
    except (RleError, PolygonError) as error:
        raise InvalidInput(str(error)) from None
    if rle.area_px == 0:
        raise InvalidInput("the mask is empty")
    if len(rle.counts) > MAX_RLE_CHARACTERS:
        raise InvalidInput("the mask's outline is too ragged")
    return ForeignMask(annotation=annotation, rle=rle)


def _checked(polygons: list[Any]) -> list[list[float]]:
    num_numbers = 0
    for polygon in polygons:
        if not isinstance(polygon, list) or len(polygon) < 6 or len(polygon) % 2:
            raise InvalidInput("a polygon is a list of at least three x, y pairs")
        num_numbers += len(polygon)
        if num_numbers > 2 * MAX_VERTICES:
            raise InvalidInput(f"its polygons have more than {MAX_VERTICES} corners")
        for value in polygon:
            is_number = isinstance(value, int | float) and not isinstance(value, bool)
            if not is_number or not math.isfinite(value):
                raise InvalidInput("a polygon holds something that is no number")
    return polygons


def _size(size_hw: tuple[int, int] | None) -> str:
    return f"{size_hw[1]} x {size_hw[0]} px" if size_hw else "of unknown size"
