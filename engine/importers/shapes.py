"""Turn a dataset's segmentation into an exact mask: polygons, run lists or compressed codes."""

from __future__ import annotations

from engine.domain.errors import InvalidInput
from engine.domain.limits import MAX_RLE_CHARACTERS
from engine.importers.records import Annotation, ForeignMask
from masks.coco import SegmentationError, rle_of


def mask_of(annotation: Annotation, *, image_hw: tuple[int, int]) -> ForeignMask:
    """Return the annotation's mask; InvalidInput when it cannot be one of this image."""
    if annotation.size_hw not in (None, image_hw):
        raise InvalidInput(f"{_size(annotation.size_hw)} but the image is {_size(image_hw)}")
    try:
        rle = rle_of(annotation.segmentation, image_hw=image_hw)
    except SegmentationError as error:
        raise InvalidInput(str(error)) from None
    if rle.area_px == 0:
        raise InvalidInput("the mask is empty")
    if len(rle.counts) > MAX_RLE_CHARACTERS:
        raise InvalidInput("the mask's outline is too ragged")
    return ForeignMask(annotation=annotation, rle=rle)


def _size(size_hw: tuple[int, int] | None) -> str:
    return f"{size_hw[1]} x {size_hw[0]} px" if size_hw else "of unknown size"
