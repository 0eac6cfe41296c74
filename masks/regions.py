"""Connected regions of a mask: the deepest point, islands and holes.

Regions touch by sides or corners (8-connected), as in the released SAM clean-up code.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Mask = NDArray[np.bool_]
_COUNTED_AT_ONCE = 1 << 22  # pixels
_EIGHT_NEIGHBOURS = np.ones((3, 3), dtype=bool)


def deepest_point(mask_hw: Mask) -> tuple[int, int]:
    """Return the (x, y) pixel farthest from the mask's border; the image border counts as one.

    Ties go to the first in row order. Raises ValueError for an empty mask.
    """
    _, x, y = deepest(mask_hw)
    return x, y


def deepest(mask_hw: Mask) -> tuple[float, int, int]:
    """Return how far from the border the deepest point lies, in pixels, and the point (x, y)."""
    rows = np.flatnonzero(mask_hw.any(axis=1))
    if rows.size == 0:
        raise ValueError("an empty mask has no deepest point")
    columns = np.flatnonzero(mask_hw.any(axis=0))
    y0, x0 = int(rows[0]), int(columns[0])
    crop = np.asarray(mask_hw[y0 : rows[-1] + 1, x0 : columns[-1] + 1], dtype=bool)
    depth = ndimage.distance_transform_edt(np.pad(crop, 1))[1:-1, 1:-1]
    y, x = np.unravel_index(int(np.argmax(depth)), depth.shape)
    return float(depth[y, x]), x0 + int(x), y0 + int(y)


def keep_components(mask_hw: Mask, min_area_px: int) -> Mask:
    """Drop the islands with fewer than min_area_px pixels."""
    labels, areas = _components(mask_hw)
    keep = areas >= min_area_px
    keep[0] = False
    return np.asarray(keep[labels], dtype=bool)


def largest_component(mask_hw: Mask) -> Mask:
    """Keep the largest island only (the first in row order among equals)."""
    labels, areas = _components(mask_hw)
    if areas.size == 1:
        return np.zeros_like(mask_hw, dtype=bool)
    return np.asarray(labels == 1 + int(np.argmax(areas[1:])), dtype=bool)


def fill_holes(mask_hw: Mask, max_area_px: int) -> Mask:
    """Fill the background regions of at most max_area_px pixels, also those at the image border."""
    mask_hw = np.asarray(mask_hw, dtype=bool)
    labels, areas = _components(~mask_hw)
    fill = areas <= max_area_px
    fill[0] = False
    return np.asarray(mask_hw | fill[labels], dtype=bool)


def _components(mask_hw: Mask) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    labels, num_labels = ndimage.label(mask_hw, structure=_EIGHT_NEIGHBOURS)
    areas = np.zeros(num_labels + 1, dtype=np.int64)
    for part in np.array_split(labels.ravel(), 1 + labels.size // _COUNTED_AT_ONCE):
        counts = np.bincount(part)  # makes a copy of twice the size: in parts
        areas[: counts.size] += counts
    return labels, areas
