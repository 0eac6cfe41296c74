"""Prefilled masks: the detector's boxes prompt the promptable model (paper section 4, stage 2).

Computes only; which proposals are worth showing is the engine's rule.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from engine.domain.proposals import Proposal
from masks.rle import Rle
from sam.automatic import stability_score
from sam.features import ImageFeatures
from sam.model import Sam
from sam.object_detector import ObjectDetector
from sam.predictor import Predictor


def propose(
    model: Sam, detector: ObjectDetector, *, features: ImageFeatures, image_hw: tuple[int, int]
) -> list[Proposal]:
    """Return one proposal a detected box, best box first; empty masks are left out."""
    predictor = Predictor(model)
    predictor.set_features(features, image_hw)
    boxes_xyxy_px = detector.detect(features, predictor.frame).boxes_xyxy_px
    prediction = predictor.predict_boxes(boxes_xyxy_px)
    # At the decoder's own resolution: stability is a share, the same there as on the photo.
    stabilities = stability_score(torch.from_numpy(prediction.low_res_logits)).tolist()
    return [
        Proposal(
            rle=Rle.encode(mask_hw),
            predicted_iou=float(np.clip(predicted_iou, 0.0, 1.0)),
            stability_score=stability,
            prompts=[_as_prompt(box)],
        )
        for mask_hw, predicted_iou, stability, box in zip(
            prediction.masks_nhw, prediction.predicted_iou, stabilities, boxes_xyxy_px, strict=True
        )
        if mask_hw.any()
    ]


def _as_prompt(box_xyxy_px: NDArray[np.float64]) -> dict[str, Any]:
    x0_px, y0_px, x1_px, y1_px = (round(float(value), 2) for value in box_xyxy_px)
    return {"type": "box", "x0_px": x0_px, "y0_px": y0_px, "x1_px": x1_px, "y1_px": y1_px}
