"""Non-maximum suppression of boxes and of masks, the same on every machine.

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


def mask_nms(ranked_masks: NDArray[np.bool_], iou_threshold: float) -> NDArray[np.int64]:
    """Return the indices of the masks kept, of (N, ...) masks that come best first.

    A mask goes when its IoU with a better kept one exceeds the threshold: a part and its whole
    are both kept. Counted on packed bits, so hundreds of masks take milliseconds.
    """
    packed = _packed(ranked_masks)
    areas = np.bitwise_count(packed).sum(axis=1, dtype=np.int64)
    order = np.arange(len(packed))
    kept: list[int] = []
    while order.size:
        best, rest = int(order[0]), order[1:]
        kept.append(best)
        both = np.bitwise_count(packed[best] & packed[rest]).sum(axis=1, dtype=np.int64)
        union = areas[best] + areas[rest] - both
        order = rest[both <= iou_threshold * union]
    return np.array(kept, dtype=np.int64)


def uncovered(ranked_masks: NDArray[np.bool_], max_share: float) -> NDArray[np.int64]:
    """Return the indices of the masks kept, of (N, ...) masks that come best first.

    A mask goes when the better kept ones together cover more than this share of it.
    """
    packed = _packed(ranked_masks)
    areas = np.bitwise_count(packed).sum(axis=1, dtype=np.int64)
    union = np.zeros(packed.shape[1:], dtype=np.uint64)
    kept: list[int] = []
    for index, mask in enumerate(packed):
        if np.bitwise_count(mask & union).sum(dtype=np.int64) <= max_share * areas[index]:
            kept.append(index)
            union |= mask
    return np.array(kept, dtype=np.int64)


def _packed(masks: NDArray[np.bool_]) -> NDArray[np.uint64]:
    """Put 64 pixels of (N, ...) masks into each word: (N, W)."""
    num = len(masks)
    bits = np.packbits(masks.reshape(num, -1), axis=1) if num else np.zeros((0, 8), np.uint8)
    padded = np.pad(bits, ((0, 0), (0, -bits.shape[1] % 8)))
    return np.ascontiguousarray(padded).view(np.uint64)
