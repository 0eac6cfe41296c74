"""How well the outline of a mask follows the truth's: the boundary F measure.

Pixels of one outline count as found when the other passes within a tolerance (BSDS: 0.75 % of the
image diagonal), so a soft or leaking edge costs what IoU hardly notices on a large mask.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

TOLERANCE_SHARE = 0.0075
"""Of the image diagonal, as in the BSDS evaluator; at least one pixel."""

Mask = NDArray[np.bool_]


def tolerance_px(image_hw: tuple[int, int]) -> float:
    """Return the tolerance for an image of this size."""
    return max(1.0, TOLERANCE_SHARE * math.hypot(*image_hw))


def boundary_f(truth_hw: Mask, predicted_hw: Mask, *, tolerance_px: float) -> float:
    """Return 2 P R / (P + R) of the outlines; 1 when both masks are empty, 0 when one is.

    P: share of the predicted outline near the true one. R: the other way round. The outline is
    the mask's pixels that touch a pixel outside by a side; the image border is outside.
    """
    either = truth_hw | predicted_hw
    rows, columns = np.flatnonzero(either.any(axis=1)), np.flatnonzero(either.any(axis=0))
    if not len(rows):
        return 1.0
    window = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    truth, predicted = outline(truth_hw[window]), outline(predicted_hw[window])
    if not truth.any() or not predicted.any():
        return 0.0
    precision = float((_distance_to(truth)[predicted] <= tolerance_px).mean())
    recall = float((_distance_to(predicted)[truth] <= tolerance_px).mean())
    total = precision + recall
    return 2 * precision * recall / total if total else 0.0


def outline(mask_hw: Mask) -> Mask:
    """Return the pixels of a mask that touch the outside by a side."""
    inner = ndimage.binary_erosion(mask_hw)
    return np.asarray(mask_hw & ~inner, dtype=bool)


def _distance_to(outline_hw: Mask) -> NDArray[np.float64]:
    return np.asarray(ndimage.distance_transform_edt(~outline_hw), dtype=np.float64)
