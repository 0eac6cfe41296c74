"""Scaling between an image's pixels and the decoder's padded square (as sam/coordinates.py)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self


@dataclass(frozen=True, slots=True)
class DecoderSizes:
    """Sides in pixels of the square that the encoder takes, and of the decoder's logits."""

    image_size_px: int
    low_res_size: int

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Read them from a model version's config."""
        size = int(config["image_size_px"])
        return cls(size, size // int(config["low_res_stride_px"]))

    @property
    def low_res_stride_px(self) -> int:
        """Pixels of the square to one cell of the logits."""
        return self.image_size_px // self.low_res_size


@dataclass(frozen=True, slots=True)
class DecoderFrame:
    """Maps pixels of an image, or of a crop of it, to the decoder's padded square and back."""

    image_hw: tuple[int, int]
    image_size_px: int

    @property
    def input_hw(self) -> tuple[int, int]:
        """Size of the resized image inside the square: each side floor(side * scale + 0.5)."""
        scale = self.image_size_px / max(self.image_hw)
        height, width = (max(1, math.floor(side * scale + 0.5)) for side in self.image_hw)
        return height, width

    def to_model(self, x_px: float, y_px: float) -> tuple[float, float]:
        """Scale each axis by its own ratio, as the reference does."""
        height, width = self.image_hw
        input_height, input_width = self.input_hw
        return x_px * (input_width / width), y_px * (input_height / height)

    def background_to_model(self, x_px: float, y_px: float) -> tuple[float, float]:
        """Take the middle of the click's pixel where pixels are enlarged (sam/coordinates.py)."""
        (height, width), (input_height, input_width) = self.image_hw, self.input_hw
        if input_width > width or input_height > height:
            row, column = self.pixel_at(x_px, y_px)
            return self.to_model(column + 0.5, row + 0.5)
        return self.to_model(x_px, y_px)

    def pixel_at(self, x_px: float, y_px: float) -> tuple[int, int]:
        """Row and column of the pixel that a point of the image, its far edges too, lies in."""
        height, width = self.image_hw
        return min(int(y_px), height - 1), min(int(x_px), width - 1)

    def cell_wh_px(self, stride_px: int) -> tuple[float, float]:
        """Width and height in image pixels of a cell that has stride_px of the square's."""
        (height, width), (input_height, input_width) = self.image_hw, self.input_hw
        return stride_px * width / input_width, stride_px * height / input_height
