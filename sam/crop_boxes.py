"""Where the automatic generator looks: crops of the image and the grid of points in each.

Geometry of the released generator (segment-anything utils/amg.py); numbers of paper section B.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class CropBox:
    """One crop: layer 0 is the whole image, layer k cuts it 2^k by 2^k with overlap."""

    layer: int
    x_px: int
    y_px: int
    width_px: int
    height_px: int

    @property
    def xywh_px(self) -> tuple[int, int, int, int]:
        """Left, top, width, height."""
        return (self.x_px, self.y_px, self.width_px, self.height_px)

    @property
    def long_side_px(self) -> int:
        """The longer of width and height."""
        return max(self.width_px, self.height_px)

    @property
    def rows(self) -> slice:
        """The image's rows inside the crop."""
        return slice(self.y_px, self.y_px + self.height_px)

    @property
    def columns(self) -> slice:
        """The image's columns inside the crop."""
        return slice(self.x_px, self.x_px + self.width_px)


def make_crop_boxes(
    image_hw: tuple[int, int], *, num_layers: int, overlap_ratio: float
) -> list[CropBox]:
    """List the whole image and the crops of every further layer, row by row."""
    height, width = image_hw
    crops = [CropBox(0, 0, 0, width, height)]
    for layer in range(1, num_layers + 1):
        num_sides = 2**layer
        overlap = int(overlap_ratio * min(image_hw) * 2 / num_sides)
        crop_width = _crop_side(width, num_sides, overlap)
        crop_height = _crop_side(height, num_sides, overlap)
        lefts = [(crop_width - overlap) * i for i in range(num_sides)]
        tops = [(crop_height - overlap) * i for i in range(num_sides)]
        crops.extend(
            CropBox(layer, x, y, min(crop_width, width - x), min(crop_height, height - y))
            for y, x in product(tops, lefts)
            if x < width and y < height  # an image of a few pixels has fewer crops
        )
    return crops


def grid_points(num_per_side: int) -> NDArray[np.float64]:
    """Return the centres of num_per_side^2 equal cells of the unit square: (M, 2), row by row."""
    offset = 1.0 / (2 * num_per_side)
    ticks = np.linspace(offset, 1.0 - offset, num_per_side)
    x, y = np.meshgrid(ticks, ticks)
    return np.stack([x.ravel(), y.ravel()], axis=-1)


def every_second(num_per_side: int) -> NDArray[np.bool_]:
    """Mark every second row and column of the grid, about a quarter of its points, row by row."""
    is_even = np.arange(num_per_side) % 2 == 0
    return np.outer(is_even, is_even)


def touches_inner_edge(
    bbox_xywh_px: tuple[int, int, int, int],
    crop: CropBox,
    *,
    image_hw: tuple[int, int],
    margin_px: int,
) -> bool:
    """Say whether a box (image frame) comes within margin_px of a crop border inside the image.

    Such a mask is probably cut off. A side near the image's own border does not count.
    """
    x, y, w, h = bbox_xywh_px
    box = np.array([x, y, x + w, y + h])
    cut = np.array([crop.x_px, crop.y_px, crop.x_px + crop.width_px, crop.y_px + crop.height_px])
    image = np.array([0, 0, image_hw[1], image_hw[0]])
    near_cut = np.abs(box - cut) <= margin_px
    near_image = np.abs(box - image) <= margin_px
    return bool((near_cut & ~near_image).any())


def _crop_side(length: int, num_sides: int, overlap: int) -> int:
    return math.ceil((overlap * (num_sides - 1) + length) / num_sides)
