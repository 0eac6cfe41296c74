"""How good proposed boxes are: recall at a budget of boxes, and average precision at IoU 0.5.

Both are class-agnostic and match each truth box once, best score first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from masks.boxes import box_iou

FloatArray = NDArray[np.float64]
IOU_THRESHOLD = 0.5
MAX_BOXES = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageDetections:
    """Detections of one image, best score first, and its truth; boxes are xyxy in image px."""

    boxes_xyxy_px: FloatArray
    scores: FloatArray
    truth_xyxy_px: FloatArray


def match_detections(
    detections: ImageDetections, *, max_boxes: int = MAX_BOXES
) -> NDArray[np.bool_]:
    """Say for each of the best `max_boxes` detections whether it found a truth box of its own."""
    boxes = detections.boxes_xyxy_px[:max_boxes]
    hits = np.zeros(len(boxes), dtype=bool)
    if len(boxes) == 0 or len(detections.truth_xyxy_px) == 0:
        return hits
    iou = np.array(box_iou(boxes, detections.truth_xyxy_px), dtype=np.float64)
    for index in range(len(boxes)):
        best = int(iou[index].argmax())
        if iou[index, best] >= IOU_THRESHOLD:
            hits[index] = True
            iou[:, best] = -1.0
    return hits


def detection_metrics(images: Sequence[ImageDetections]) -> dict[str, float]:
    """Return `recall_50_at_100`, `ap_50`, `num_boxes` and `num_images` over all images.

    Average precision is the area under the precision envelope. Truth is often partial, so it is
    a lower bound; recall is the figure to decide by.
    """
    num_boxes = sum(len(image.truth_xyxy_px) for image in images)
    hits = [match_detections(image) for image in images]
    found = sum(int(hit.sum()) for hit in hits)
    scores = np.concatenate([image.scores[:MAX_BOXES] for image in images] or [np.zeros(0)])
    order = np.argsort(-scores, kind="stable")
    ordered = np.concatenate(hits or [np.zeros(0, dtype=bool)])[order]
    return {
        "recall_50_at_100": found / num_boxes if num_boxes else 0.0,
        "ap_50": _average_precision(ordered, num_boxes=num_boxes),
        "num_boxes": num_boxes,
        "num_images": len(images),
    }


def _average_precision(hits: NDArray[np.bool_], *, num_boxes: int) -> float:
    if num_boxes == 0 or not hits.any():
        return 0.0
    found = np.cumsum(hits)
    precision = found / np.arange(1, len(hits) + 1)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    return float(envelope[hits].sum() / num_boxes)
