"""Non-maximum suppression of boxes, the same on every machine.

One class; the caller decides what the scores mean.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def box_nms(boxes_xyxy: ArrayLike, scores: ArrayLike, iou_threshold: float) -> NDArray[np.int64]:
    """Return the indices kept, best score first.

    A box goes when its IoU with a better kept one exceeds the threshold. Equal scores rank by
    larger area, then by lower index, so that the result never depends on sort order.
    Raises ValueError when boxes are not (N, 4) or scores not (N,).
    """
    boxes = np.asarray(boxes_xyxy, dtype=np.float64).reshape(-1, 4)
    rank = np.asarray(scores, dtype=np.float64)
    if rank.shape != (len(boxes),):
        raise ValueError(f"{len(boxes)} boxes need as many scores, got shape {rank.shape}")
    sides = np.clip(boxes[:, 2:] - boxes[:, :2], 0.0, None)
    areas = sides[:, 0] * sides[:, 1]
    order = np.lexsort((np.arange(len(boxes)), -areas, -rank))
    kept: list[int] = []
    while order.size:
        best, rest = int(order[0]), order[1:]
        kept.append(best)
        low = np.maximum(boxes[best, :2], boxes[rest, :2])
        high = np.minimum(boxes[best, 2:], boxes[rest, 2:])
        overlap = np.clip(high - low, 0.0, None).prod(axis=1)
        union = areas[best] + areas[rest] - overlap
        order = rest[overlap <= iou_threshold * union]
    return np.array(kept, dtype=np.int64)
