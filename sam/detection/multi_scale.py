"""Find objects in the whole image and, while they are small there, in crops of it.

Prompting goes on in the crop that found an object: its features are at hand, and there the object
is large enough for its mask.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray

from masks.crops import MIN_OBJECT_SHARE, MIN_SIDE_PX
from sam.coordinates import Frame
from sam.crop_boxes import CropBox, make_crop_boxes, touches_inner_edge
from sam.detection.object_detector import Detections, ObjectDetector
from sam.modeling.features import ImageFeatures
from sam.modeling.model import Sam
from sam.nms import box_nms

MAX_LAYERS = 2
"""16 crops of an image beside 4 and the whole: a few seconds on two cores."""
MAX_LAYERS_OF_KNOWN_SIZE = 3
"""64 crops more, half a minute: only for objects that the detector learned to be that small."""
OVERLAP_RATIO = 512 / 1500  # between crops; paper section B
INNER_EDGE_MARGIN_PX = 2
"""A box that ends at a border inside the image is of an object that another crop shows whole."""


@dataclass(frozen=True, slots=True)
class CropDetections:
    """What was found in one crop. boxes_xyxy_px (N, 4) are in the crop's own pixels."""

    crop: CropBox
    features: ImageFeatures
    boxes_xyxy_px: NDArray[np.float64]
    scores: NDArray[np.float64]

    @property
    def boxes_in_image(self) -> NDArray[np.float64]:
        """The boxes (N, 4) in the image's pixels."""
        offset = np.array([self.crop.x_px, self.crop.y_px] * 2, dtype=np.float64)
        return self.boxes_xyxy_px + offset


@torch.inference_mode()
def detect_multi_scale(
    model: Sam,
    detector: ObjectDetector,
    features: ImageFeatures,
    *,
    image_hw: tuple[int, int],
    load_image: Callable[[], NDArray[np.uint8]],
    score_thresh: float | None = None,
    max_boxes: int = 100,
    nms_iou: float = 0.6,
    on_crop: Callable[[int], object] = lambda looked_at: None,
) -> list[CropDetections]:
    """Return the best boxes of an image, each in the crop where it scores best.

    features: of the whole image. load_image: returns its (H, W, 3) RGB pixels; called when crops
    are looked at, never for an image of large objects. score_thresh: as
    `ObjectDetector.detect`. A further layer of crops is looked at while half of the sure objects of
    the last one are small in it, or there are none, or those that the detector learned would be
    small: where the objects are invisible, it takes larger things for them.
    on_crop: hears after each crop, the whole image first, how many were looked at.
    """
    load_once = cache(load_image)
    detections: list[CropDetections] = []
    for layer in range(MAX_LAYERS_OF_KNOWN_SIZE + 1):
        views = _views(model, features, layer=layer, image_hw=image_hw, load_image=load_once)
        found = []
        for crop, part in views:
            found.append(
                _detect_in_crop(
                    detector, crop, image_hw, part, score_thresh=score_thresh, nms_iou=nms_iou
                )
            )
            on_crop(len(detections) + len(found))
        detections += found
        if not found:
            break
        if _would_be_small(found, detector.config.object_side_px):
            continue
        if layer == MAX_LAYERS or not _is_small(found, detector.config.score_thresh):
            break
    return _best(detections, max_boxes=max_boxes, nms_iou=nms_iou)


def all_detections(detections: list[CropDetections]) -> Detections:
    """Return the boxes of all crops in the image's pixels, best first."""
    boxes = np.concatenate([np.zeros((0, 4)), *(one.boxes_in_image for one in detections)])
    scores = np.concatenate([np.zeros(0), *(one.scores for one in detections)])
    order = np.argsort(-scores, kind="stable")
    return Detections(boxes[order], scores[order])


def _views(
    model: Sam,
    features: ImageFeatures,
    *,
    layer: int,
    image_hw: tuple[int, int],
    load_image: Callable[[], NDArray[np.uint8]],
) -> Iterator[tuple[CropBox, ImageFeatures]]:
    for crop in make_crop_boxes(image_hw, num_layers=layer, overlap_ratio=OVERLAP_RATIO):
        if crop.layer != layer:
            continue
        if layer == 0:
            yield crop, features
        elif crop.long_side_px >= MIN_SIDE_PX:
            pixels = np.ascontiguousarray(load_image()[crop.rows, crop.columns])
            yield crop, model.encode(model.preprocess(pixels))


def _detect_in_crop(
    detector: ObjectDetector,
    crop: CropBox,
    image_hw: tuple[int, int],
    features: ImageFeatures,
    *,
    score_thresh: float | None,
    nms_iou: float,
) -> CropDetections:
    frame = Frame((crop.height_px, crop.width_px), detector.config.image_size_px)
    found = detector.detect(features, frame, score_thresh=score_thresh, nms_iou=nms_iou)
    x, y = crop.x_px, crop.y_px
    is_whole = [
        not touches_inner_edge(
            (round(x + x0), round(y + y0), round(x1 - x0), round(y1 - y0)),
            crop,
            image_hw=image_hw,
            margin_px=INNER_EDGE_MARGIN_PX,
        )
        for x0, y0, x1, y1 in found.boxes_xyxy_px
    ]
    kept = np.array(is_whole, dtype=bool)
    return CropDetections(crop, features, found.boxes_xyxy_px[kept], found.scores[kept])


def _is_small(found: list[CropDetections], least_score: float) -> bool:
    shares = [
        float(max(x1 - x0, y1 - y0)) / one.crop.long_side_px
        for one in found
        for x0, y0, x1, y1 in one.boxes_xyxy_px[one.scores >= least_score]
    ]
    return not shares or float(np.median(shares)) < MIN_OBJECT_SHARE


def _would_be_small(found: list[CropDetections], object_side_px: float | None) -> bool:
    limit_px = MIN_OBJECT_SHARE * found[0].crop.long_side_px  # no crop of a layer is larger
    return object_side_px is not None and object_side_px < limit_px


def _best(
    detections: list[CropDetections], *, max_boxes: int, nms_iou: float
) -> list[CropDetections]:
    boxes = np.concatenate([one.boxes_in_image for one in detections])
    scores = np.concatenate([one.scores for one in detections])
    owners = np.repeat(np.arange(len(detections)), [len(one.scores) for one in detections])
    places = np.concatenate([np.arange(len(one.scores)) for one in detections])
    kept = np.asarray(box_nms(boxes, scores, nms_iou), dtype=int)[:max_boxes]
    best = []
    for number, one in enumerate(detections):
        rows = places[kept[owners[kept] == number]]
        if len(rows):
            best.append(
                CropDetections(one.crop, one.features, one.boxes_xyxy_px[rows], one.scores[rows])
            )
    return best
