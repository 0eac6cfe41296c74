"""Prefilled masks: the detector's boxes prompt the promptable model (paper section 4, stage 2).

Computes only; which proposals are worth showing is the engine's rule.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from engine.domain.proposals import Proposal
from masks.rle import Rle
from sam.automatic.mask_generator import stability_score
from sam.detection.multi_scale import CropDetections, detect_multi_scale
from sam.detection.object_detector import ObjectDetector
from sam.modeling.features import ImageFeatures
from sam.modeling.model import Sam
from sam.prompting.predictor import Predictor


def propose(
    model: Sam,
    detector: ObjectDetector,
    *,
    features: ImageFeatures,
    image_hw: tuple[int, int],
    load_image: Callable[[], NDArray[np.uint8]],
    on_crop: Callable[[int], object] = lambda num_crops: None,
) -> list[Proposal]:
    """Return one proposal a detected box, best box first; empty masks are left out.

    features: of the whole image; small objects are found and prompted in crops of it, for which
    alone its pixels are loaded. on_crop: as `detect_multi_scale`.
    """
    detected_in_crops = detect_multi_scale(
        model, detector, features, image_hw=image_hw, load_image=load_image, on_crop=on_crop
    )
    found = [
        scored
        for detected in detected_in_crops
        for scored in _proposals(model, detected, image_hw=image_hw)
    ]
    return [proposal for _, proposal in sorted(found, key=lambda scored: -scored[0])]


def _proposals(
    model: Sam, detected: CropDetections, *, image_hw: tuple[int, int]
) -> Iterator[tuple[float, Proposal]]:
    """Yield the proposals of one crop with the scores of their boxes."""
    crop = detected.crop
    predictor = Predictor(model)
    predictor.set_features(detected.features, (crop.height_px, crop.width_px))
    prediction = predictor.predict_boxes(detected.boxes_xyxy_px)
    # At the decoder's own resolution: stability is a share, the same there as on the image.
    stabilities = stability_score(torch.from_numpy(prediction.low_res_logits)).tolist()
    for row, box in enumerate(detected.boxes_in_image):
        if not prediction.masks_nhw[row].any():
            continue
        mask_hw = np.zeros(image_hw, dtype=bool)
        mask_hw[crop.rows, crop.columns] = prediction.masks_nhw[row]
        yield (
            float(detected.scores[row]),
            Proposal(
                rle=Rle.encode(mask_hw),
                predicted_iou=float(np.clip(prediction.predicted_iou[row], 0.0, 1.0)),
                stability_score=stabilities[row],
                prompts=[_as_prompt(box)],
            ),
        )


def _as_prompt(box_xyxy_px: NDArray[np.float64]) -> dict[str, Any]:
    x0_px, y0_px, x1_px, y1_px = (round(float(value), 2) for value in box_xyxy_px)
    return {"type": "box", "x0_px": x0_px, "y0_px": y0_px, "x1_px": x1_px, "y1_px": y1_px}
