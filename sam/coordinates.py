"""Between the image's pixels and the model's padded square: the only place that scales.

The resize rule is the reference's (segment-anything utils/transforms.py).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from sam.prompts import PromptError

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Frame:
    """How one image (height, width in pixels) lies in the model's square, at its top left."""

    image_hw: tuple[int, int]
    image_size_px: int

    def __post_init__(self) -> None:
        if min(self.image_hw) < 1:
            raise ValueError(f"an image of {self.image_hw[0]} x {self.image_hw[1]} px is empty")

    @property
    def input_hw(self) -> tuple[int, int]:
        """Size of the resized image: long side = image_size_px, each side floor(side*scale+0.5)."""
        scale = self.image_size_px / max(self.image_hw)
        height, width = (max(1, math.floor(side * scale + 0.5)) for side in self.image_hw)
        return height, width

    @property
    def scale_xy(self) -> tuple[float, float]:
        """Model pixels per image pixel along x and y; they differ by the rounding of the sides."""
        height, width = self.input_hw
        return width / self.image_hw[1], height / self.image_hw[0]

    def to_model(self, points_xy_px: ArrayLike) -> Floats:
        """Bring (..., 2) image points into the model's square. Raises PromptError."""
        points = _finite(points_xy_px, last_axis=2, what="points")
        height, width = self.image_hw
        outside = (points < 0) | (points > np.array([width, height]))
        if outside.any():
            where = int(outside.any(-1).argmax())
            raise PromptError(
                f"the point {_shown(points, where)}, number {where}, lies outside the image of "
                f"{width} x {height} px"
            )
        return np.asarray(points * np.array(self.scale_xy))

    def clicks_to_model(self, points_xy_px: ArrayLike, labels: ArrayLike) -> Floats:
        """Do as to_model, for models whose masks hold no background click (`sam.click_rules`).

        Where the model sees an image's pixels larger than its own, a background click (label 0)
        means the middle of its pixel, which is what is cut out of the mask. The page does the same.
        """
        points = self.to_model(points_xy_px)
        if max(self.scale_xy) <= 1:
            return points
        height, width = self.image_hw
        pixels = np.minimum(np.floor(points_xy_px), np.array([width - 1, height - 1]))
        is_background = (np.asarray(labels) == 0)[..., None]
        return np.where(is_background, (pixels + 0.5) * np.array(self.scale_xy), points)

    def boxes_to_model(self, boxes_xyxy_px: ArrayLike) -> Floats:
        """Bring (..., 4) image boxes into the model's square, clipped to the image first.

        Raises PromptError for boxes that are inverted, flat, or wholly outside.
        """
        boxes = _finite(boxes_xyxy_px, last_axis=4, what="boxes")
        inverted = (boxes[..., :2] >= boxes[..., 2:]).any(-1)
        if inverted.any():
            where = int(inverted.argmax())
            raise PromptError(
                f"the box {_shown(boxes, where)}, number {where}, must have x0 < x1 and y0 < y1"
            )
        height, width = self.image_hw
        limit = np.array([width, height, width, height], dtype=np.float64)
        clipped = np.clip(boxes, 0.0, limit)
        outside = (clipped[..., :2] >= clipped[..., 2:]).any(-1)
        if outside.any():
            where = int(outside.argmax())
            raise PromptError(
                f"the box {_shown(boxes, where)}, number {where}, lies outside the image of "
                f"{width} x {height} px"
            )
        return np.asarray(clipped * np.tile(self.scale_xy, 2))

    def boxes_to_image(self, boxes_xyxy_model: ArrayLike) -> Floats:
        """Bring (..., 4) model boxes back to image pixels, clipped to the image."""
        height, width = self.image_hw
        boxes = np.asarray(boxes_xyxy_model, dtype=np.float64) / np.tile(self.scale_xy, 2)
        limit = np.array([width, height, width, height], dtype=np.float64)
        return np.asarray(np.clip(boxes, 0.0, limit))

    def to_image_logits(self, low_res_logits: Tensor) -> Tensor:
        """Upscale (N, K, S/4, S/4) logits to the image: (N, K, H, W).

        Padding is cropped between the two resizes, as in the reference (postprocess_masks).
        """
        square = (self.image_size_px, self.image_size_px)
        height, width = self.input_hw
        full = F.interpolate(low_res_logits.float(), square, mode="bilinear", align_corners=False)
        cropped = full[..., :height, :width]
        return F.interpolate(cropped, self.image_hw, mode="bilinear", align_corners=False)


def as_numbers(values: ArrayLike, *, what: str, kinds: str = "iuf") -> Floats:
    """Return numbers as float64. Raises PromptError for anything else.

    kinds: the kinds of numpy types to take; by default whole and floating-point numbers.
    """
    return as_array(values, what=what, kinds=kinds).astype(np.float64)


def as_array(values: ArrayLike, *, what: str, kinds: str) -> NDArray[Any]:
    """Return an array of one of these kinds of numpy types. Raises PromptError."""
    try:
        array: NDArray[Any] = np.asarray(values)
    except (TypeError, ValueError, RuntimeError):  # lists of several lengths, tensors on a GPU
        raise PromptError(f"{what} must be an array of numbers") from None
    if array.size and array.dtype.kind not in kinds:
        raise PromptError(f"{what} must be an array of numbers, got {array.dtype}")
    return array


def _finite(values: ArrayLike, *, last_axis: int, what: str) -> Floats:
    array = as_numbers(values, what=what)
    if array.ndim < 1 or array.shape[-1] != last_axis:
        raise PromptError(f"{what} must have {last_axis} values each, got shape {array.shape}")
    bad = ~np.isfinite(array).all(-1)
    if bad.any():
        where = int(bad.argmax())
        raise PromptError(
            f"{what} must be finite numbers, number {where} is {_shown(array, where)}"
        )
    return array


def _shown(rows: Floats, where: int) -> str:
    row = rows.reshape(-1, rows.shape[-1])[where]
    return f"({', '.join(f'{value:g}' for value in row)})"


def as_tensor(values: Floats, *, device: torch.device | str | None = None) -> Tensor:
    """Return float32, the precision of every decoder input."""
    return torch.as_tensor(values, dtype=torch.float32, device=device)
