"""Paint masks over an image, to be looked at."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from masks.boxes import pixels_of
from masks.rle import Rle

_OPACITY = 0.45
_GOLDEN_RATIO = 0.618033988749895  # steps of it never come near a colour used before


def overlay(image_hwc_u8: NDArray[np.uint8], rles: Sequence[Rle]) -> NDArray[np.uint8]:
    """Return the image under coloured masks with their outlines; small masks lie on top.

    Equal input gives equal colours. Raises ValueError when a mask is of another size.
    """
    hw = image_hwc_u8.shape[:2]
    painted = image_hwc_u8.copy()
    by_size = sorted(enumerate(rles), key=lambda item: -item[1].area_px)
    for index, rle in by_size:
        if (rle.height_px, rle.width_px) != hw:
            raise ValueError(
                f"a mask of {rle.height_px} x {rle.width_px} px cannot lie on an image of "
                f"{hw[0]} x {hw[1]} px"
            )
        box = pixels_of(rle.bbox_xywh_px)
        mask = rle.decode()[box]
        color = np.array(colorsys.hsv_to_rgb(index * _GOLDEN_RATIO % 1.0, 0.85, 1.0)) * 255
        under, part = image_hwc_u8[box], painted[box]
        part[mask] = (1 - _OPACITY) * under[mask] + _OPACITY * color
        part[_outline(mask)] = color
    return painted


def _outline(mask_hw: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the pixels of a mask with a side neighbour outside it."""
    padded = np.pad(mask_hw, 1)
    inside = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    return np.asarray(mask_hw & ~inside)
