"""Overlapping square crops of an image, each encoded alone so that small objects appear larger.

Objects under a few cells of a model's feature map are lost on it. Level k cuts the image into
squares of 1/2^k of its long side that overlap by half, so any object that is small beside its crop
lies whole within one. The page and simulated annotators pick the same crops, so one embedding
serves both. The browser has the same rules; tests/golden/crops.json pins both.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

MIN_SIDE_PX = 96
"""Crops of fewer image pixels show nothing more, only larger."""
MIN_OBJECT_SHARE = 1 / 16
"""Objects whose long side is a smaller share of the image's are prompted in a crop: 32 px of a
512 px model, 8 of its finest cells. Measured on nuclei from 3 to 60 such pixels with the starter:
one click 0.56 on the whole image, 0.67 with 1/16 or 1/21, 0.66 with 1/11."""

_KEY = re.compile(r"([1-9])-(\d{1,3})-(\d{1,3})")


class CropError(ValueError):
    """Raised for a crop that an image does not have; the message says why."""


@dataclass(frozen=True, slots=True)
class Crop:
    """One square crop of an image.

    level: 1 is half the image's long side, 2 a quarter, and so on.
    row, column: place in the grid of the level.
    """

    level: int
    row: int
    column: int

    @property
    def key(self) -> str:
        """Its name in URLs and the database: level-row-column."""
        return f"{self.level}-{self.row}-{self.column}"

    @classmethod
    def parse(cls, key: str, *, image_hw: tuple[int, int]) -> Crop:
        """Parse a key.

        Raises:
            CropError: the key is malformed, or the image has no such crop.
        """
        found = _KEY.fullmatch(key)
        if found is None:
            raise CropError(f'"{key[:40]}" is no crop; one is written level-row-column')
        level, row, column = (int(part) for part in found.groups())
        if level > max_level(image_hw):
            raise CropError(f"an image of this size has {max_level(image_hw)} levels of crops")
        rows, columns = _grid(image_hw, level)
        if row >= rows or column >= columns:
            raise CropError(f"level {level} has {rows} rows and {columns} columns of crops")
        return cls(level, row, column)

    def xywh_px(self, image_hw: tuple[int, int]) -> tuple[int, int, int, int]:
        """Return left, top, width and height in image pixels; narrow images have narrow crops."""
        side = side_px(image_hw, self.level)
        height, width = image_hw
        x, w = _span(self.column, length=width, side=side)
        y, h = _span(self.row, length=height, side=side)
        return x, y, w, h


def max_level(image_hw: tuple[int, int]) -> int:
    """Return the deepest level whose crops have MIN_SIDE_PX; 0 if the image is too small."""
    level = 0
    while level < 9 and side_px(image_hw, level + 1) >= MIN_SIDE_PX:
        level += 1
    return level


def side_px(image_hw: tuple[int, int], level: int) -> int:
    """Return the side of a level's crops in image pixels."""
    return -(-max(image_hw) // (1 << level))


def crop_at(image_hw: tuple[int, int], level: int, *, x_px: float, y_px: float) -> Crop:
    """Return the crop of a level whose centre is nearest to a point of the image."""
    rows, columns = _grid(image_hw, level)
    side = side_px(image_hw, level)
    return Crop(level, _nearest(y_px, rows, side), _nearest(x_px, columns, side))


def crop_for(
    bbox_xywh_px: tuple[float, float, float, float], *, image_hw: tuple[int, int]
) -> Crop | None:
    """Return the crop in which to prompt an object.

    Args:
        bbox_xywh_px: the object's box in image pixels.
        image_hw: height and width of the image.

    Returns:
        The crop of the shallowest level on which the object is not small any more (or of the
        deepest level), which holds the whole box. None if the whole image is to be used.
    """
    x, y, w, h = bbox_xywh_px
    share = max(w, h) / max(image_hw)
    level = 0
    while level < max_level(image_hw) and share * 2**level < MIN_OBJECT_SHARE:
        level += 1
    if level == 0:
        return None
    return crop_at(image_hw, level, x_px=x + w / 2, y_px=y + h / 2)


def level_for_view(image_hw: tuple[int, int], *, visible_px: float) -> int:
    """Return the level for a viewport.

    Args:
        image_hw: height and width of the image.
        visible_px: visible pixels along the image's long side.

    Returns:
        The deepest level whose crops are no smaller than the visible part; 0 for the whole image.
    """
    level = 0
    while level < max_level(image_hw) and side_px(image_hw, level + 1) >= visible_px:
        level += 1
    return level


def _grid(image_hw: tuple[int, int], level: int) -> tuple[int, int]:
    side = side_px(image_hw, level)
    rows, columns = (1 - -max(0, length - side) // _step(side) for length in image_hw)
    return rows, columns


def _step(side: int) -> int:
    return side // 2


def _span(number: int, *, length: int, side: int) -> tuple[int, int]:
    start = min(number * _step(side), max(0, length - side))
    return start, min(side, length - start)


def _nearest(position_px: float, count: int, side: int) -> int:
    return min(count - 1, max(0, int((position_px - side / 2) / _step(side) + 0.5)))
