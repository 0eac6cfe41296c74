"""Mask average recall of automatic generation: how many of the objects it finds unasked.

COCO's matching, over IoU 0.50 to 0.95; the settings of the paper's section D.3 but for the grid.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from masks.overlap import pairwise_iou
from masks.rle import Rle
from sam.automatic.mask_generator import AutomaticMask, AutomaticSettings

IOU_THRESHOLDS = tuple(round(0.5 + 0.05 * step, 2) for step in range(10))
MAX_FOUND = (100, 1000)


def recall_settings(*, points_per_side: int = 32) -> AutomaticSettings:
    """Return the paper's settings for proposals: no filter by confidence or stability, NMS 0.9.

    Its grid has 64 points a side; a quarter of them is what two cores do in reasonable time.
    """
    return AutomaticSettings(
        points_per_side=points_per_side,
        pred_iou_thresh=float("-inf"),
        stability_thresh=0.0,
        nms_iou_thresh=0.9,
    )


def average_recalls(
    truths: Sequence[Rle], found: Sequence[AutomaticMask], *, max_found: int
) -> list[float]:
    """Return for each true mask the share of IoU thresholds at which a found mask matches it.

    Their mean is AR@max_found. The best are kept by the mean of predicted IoU and stability.
    """
    ranked = sorted(found, key=lambda m: -(m.predicted_iou + m.stability_score))[:max_found]
    if not ranked:
        return [0.0] * len(truths)
    ious = pairwise_iou([mask.rle for mask in ranked], truths)
    found_at = np.stack([matched(ious, threshold=threshold) for threshold in IOU_THRESHOLDS])
    return [float(share) for share in found_at.mean(axis=0)]


def matched(ious: NDArray[np.float64], *, threshold: float) -> NDArray[np.bool_]:
    """Say which true masks are found, by the IoU (found, true) of found masks, best first.

    Matched greedily, each with its best free truth.
    """
    is_matched = np.zeros(ious.shape[1], dtype=bool)
    for row in ious:
        free = np.where(is_matched, -1.0, row)
        best = int(free.argmax())
        if free[best] >= threshold:
            is_matched[best] = True
    return is_matched
