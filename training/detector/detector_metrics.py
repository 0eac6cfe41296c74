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
    source: str = "all"


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
    num_boxes = _num_boxes(images)
    _, hits = _ranked(images)
    return {
        "recall_50_at_100": int(hits.sum()) / num_boxes if num_boxes else 0.0,
        "ap_50": _average_precision(hits, num_boxes=num_boxes),
        "num_boxes": num_boxes,
        "num_images": len(images),
    }


def metrics_by_source(images: Sequence[ImageDetections]) -> dict[str, dict[str, float]]:
    """Return the same figures of each source's images, in the order of the sources' names."""
    sources = sorted({image.source for image in images})
    return {
        source: detection_metrics([image for image in images if image.source == source])
        for source in sources
    }


def balanced_threshold(images: Sequence[ImageDetections], *, fallback: float) -> float:
    """Return the score from which on the F1 of hits and false boxes is highest.

    `fallback` when no detection finds anything.
    """
    scores, hits = _ranked(images)
    if not hits.any():
        return fallback
    found = np.cumsum(hits)
    f1 = 2 * found / (np.arange(1, len(hits) + 1) + _num_boxes(images))
    return float(scores[int(f1.argmax())])


def _num_boxes(images: Sequence[ImageDetections]) -> int:
    return sum(len(image.truth_xyxy_px) for image in images)


def _ranked(images: Sequence[ImageDetections]) -> tuple[FloatArray, NDArray[np.bool_]]:
    """Return the scores of all counted detections, best first, and whether each is a hit."""
    scores = np.concatenate([image.scores[:MAX_BOXES] for image in images] or [np.zeros(0)])
    hits = [match_detections(image) for image in images] or [np.zeros(0, dtype=bool)]
    order = np.argsort(-scores, kind="stable")
    return scores[order], np.concatenate(hits)[order]


def _average_precision(hits: NDArray[np.bool_], *, num_boxes: int) -> float:
    if num_boxes == 0 or not hits.any():
        return 0.0
    found = np.cumsum(hits)
    precision = found / np.arange(1, len(hits) + 1)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    return float(envelope[hits].sum() / num_boxes)
