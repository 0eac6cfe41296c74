"""Prompt a model on one photo, in the photo's own pixels.

Training and the grid generator drive `Sam` directly; people and services use this.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from sam.coordinates import Frame, as_tensor
from sam.features import ImageFeatures
from sam.model import Sam, check_image, image_hw_of
from sam.prompts import Decoded, PromptError, Prompts
from sam.selection import choose

MASK_THRESHOLD_LOGIT = 0.0


@dataclass(frozen=True, slots=True)
class Prediction:
    """N masks of one prompt set.

    masks_nhw: (N, H, W) bool, photo pixels. predicted_iou: (N,).
    low_res_logits: (N, S/4, S/4), ready to be the next mask_input.
    """

    masks_nhw: NDArray[np.bool_]
    predicted_iou: NDArray[np.float32]
    low_res_logits: NDArray[np.float32]


class NoImageError(RuntimeError):
    """The predictor was asked before it had a photo."""


class Predictor:
    """Hold one photo's features and answer prompts about it."""

    def __init__(self, model: Sam) -> None:
        self.model = model.eval()
        self._features: ImageFeatures | None = None
        self._frame: Frame | None = None

    @torch.inference_mode()
    def set_image(self, image_hwc_u8: NDArray[np.uint8]) -> None:
        """Encode an RGB photo. Raises ImageError for anything else."""
        check_image(image_hwc_u8)
        features = self.model.encode(self.model.preprocess(image_hwc_u8))
        self.set_features(features, image_hw_of(image_hwc_u8))

    def set_features(self, features: ImageFeatures, image_hw: tuple[int, int]) -> None:
        """Use features encoded earlier, of a photo of this height and width."""
        self._frame = Frame(image_hw, self.model.config.image_size_px)
        self._features = features.to(device=self.model.device, dtype=torch.float32)

    @property
    def features(self) -> ImageFeatures:
        """The photo's features. Raises NoImageError before set_image or set_features."""
        if self._features is None:
            raise NoImageError("set an image before asking for its features")
        return self._features

    @property
    def frame(self) -> Frame:
        """The photo's place in the model's square. Raises NoImageError."""
        if self._frame is None:
            raise NoImageError("set an image before prompting")
        return self._frame

    def predict(
        self,
        *,
        point_coords: ArrayLike | None = None,
        point_labels: ArrayLike | None = None,
        box: ArrayLike | None = None,
        mask_input: ArrayLike | None = None,
        multimask_output: bool = True,
    ) -> Prediction:
        """Return the three ambiguity masks, or the single mask.

        point_coords: (P, 2) x, y. point_labels: (P,) 1 for object, 0 for background. box: (4,)
        xyxy. mask_input: (S/4, S/4) logits of an earlier prediction. Raises PromptError.
        """
        decoded, _ = self._decode(point_coords, point_labels, box, mask_input)
        kept = slice(1, None) if multimask_output else slice(0, 1)
        return self._finish(decoded.low_res_logits[0, kept], decoded.predicted_iou[0, kept])

    def predict_one(
        self,
        *,
        point_coords: ArrayLike | None = None,
        point_labels: ArrayLike | None = None,
        box: ArrayLike | None = None,
        mask_input: ArrayLike | None = None,
    ) -> Prediction:
        """Return the one mask the paper's rule picks (see `selection`)."""
        decoded, num_prompts = self._decode(point_coords, point_labels, box, mask_input)
        chosen = choose(decoded, num_prompts)
        return self._finish(chosen.low_res_logits, chosen.predicted_iou)

    @torch.inference_mode()
    def predict_boxes(self, boxes_xyxy_px: ArrayLike, *, boxes_per_batch: int = 16) -> Prediction:
        """Return one mask for each of (N, 4) boxes: the best of three, then refined once.

        The second pass feeds box and mask back (paper section D.4).
        """
        boxes = as_tensor(self.frame.boxes_to_model(boxes_xyxy_px), device=self.model.device)
        boxes = boxes.reshape(-1, 4)
        if len(boxes) == 0:
            size = self.model.config.low_res_size
            return self._finish(boxes.new_zeros(0, size, size), boxes.new_zeros(0))
        logits, ious = [], []
        for part in torch.split(boxes, boxes_per_batch):
            first = choose(self.model.decode(self.features, Prompts.make(boxes=part)), 1)
            again = Prompts.make(boxes=part, low_res_logits=first.low_res_logits.unsqueeze(1))
            second = choose(self.model.decode(self.features, again), 2)
            logits.append(second.low_res_logits)
            ious.append(second.predicted_iou)
        return self._finish(torch.cat(logits), torch.cat(ious))

    @torch.inference_mode()
    def _decode(
        self,
        point_coords: ArrayLike | None,
        point_labels: ArrayLike | None,
        box: ArrayLike | None,
        mask_input: ArrayLike | None,
    ) -> tuple[Decoded, int]:
        frame, device = self.frame, self.model.device
        points, labels, corners, mask = None, None, None, None
        num_prompts = 0
        if point_coords is not None:
            points, labels = _points(frame, point_coords, point_labels, device)
            num_prompts += points.shape[1]
        elif point_labels is not None:
            raise PromptError("there are point labels but no points")
        if box is not None:
            corners = as_tensor(frame.boxes_to_model(box), device=device)
            if corners.shape != (4,):
                raise PromptError(f"a box is four numbers, got shape {tuple(corners.shape)}")
            corners = corners.reshape(1, 4)
            num_prompts += 1
        if mask_input is not None:
            mask = _mask(mask_input, self.model.config.low_res_size, device)
            num_prompts += 1
        prompts = Prompts.make(points, labels, corners, mask)
        return self.model.decode(self.features, prompts), num_prompts

    @torch.inference_mode()
    def _finish(self, low_res_logits: Tensor, predicted_iou: Tensor) -> Prediction:
        height, width = self.frame.image_hw
        masks = np.zeros((low_res_logits.shape[0], height, width), dtype=bool)
        for index, row in enumerate(low_res_logits):  # one at a time: photo-sized floats are big
            photo = self.frame.to_image_logits(row[None, None])[0, 0]
            masks[index] = (photo > MASK_THRESHOLD_LOGIT).cpu().numpy()
        return Prediction(
            masks_nhw=masks,
            predicted_iou=predicted_iou.float().cpu().numpy(),
            low_res_logits=low_res_logits.float().cpu().numpy(),
        )


def _points(
    frame: Frame, coords: ArrayLike, labels: ArrayLike | None, device: torch.device
) -> tuple[Tensor, Tensor]:
    model_coords = frame.to_model(coords)
    if model_coords.ndim != 2:
        raise PromptError(f"points must be (P, 2), got shape {model_coords.shape}")
    if len(model_coords) == 0:
        raise PromptError("the list of points is empty")
    if labels is None:
        raise PromptError("points need labels: 1 for object, 0 for background")
    array: NDArray[Any] = np.asarray(labels)
    if array.shape != model_coords.shape[:1]:
        raise PromptError(f"{len(model_coords)} points need as many labels, got {array.shape}")
    if not np.isin(array, (0, 1)).all():
        raise PromptError("a point's label is 1 for object or 0 for background")
    return as_tensor(model_coords, device=device)[None], torch.as_tensor(
        array.astype(np.int64), device=device
    )[None]


def _mask(mask_input: ArrayLike, size: int, device: torch.device) -> Tensor:
    array = np.asarray(mask_input, dtype=np.float64)
    if array.shape not in {(size, size), (1, size, size)}:
        raise PromptError(f"mask_input must be ({size}, {size}) logits, got {array.shape}")
    if not np.isfinite(array).all():
        raise PromptError("mask_input must be finite numbers")
    return as_tensor(array, device=device).reshape(1, 1, size, size)
