"""The prompts of one decoder run, and the rules they keep: one box, all inside the crop."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from engine.domain.errors import InvalidInput
from engine.domain.prompts import MARGIN_PX, BoxPrompt, PointPrompt, Prompt, parse_prompts
from masks.boxes import pixels_of
from masks.rle import Rle

CropXywh = tuple[int, int, int, int]
"""Left, top, width and height of a crop in image pixels."""


@dataclass(frozen=True, slots=True)
class DecoderPrompts:
    """Clicks in their order and at most one box, in pixels of the image or of a crop of it."""

    points: tuple[PointPrompt, ...] = ()
    box: BoxPrompt | None = None

    @classmethod
    def parse(cls, raw: Sequence[Prompt | Mapping[str, Any]], *, image_hw: tuple[int, int]) -> Self:
        """Take prompts or their JSON. InvalidInput: one outside the image, or a second box."""
        prompts = parse_prompts(raw, width_px=image_hw[1], height_px=image_hw[0])
        boxes = [prompt for prompt in prompts if isinstance(prompt, BoxPrompt)]
        if len(boxes) > 1:
            raise InvalidInput(f"prompts: at most one box at a time, not {len(boxes)}")
        points = tuple(prompt for prompt in prompts if isinstance(prompt, PointPrompt))
        return cls(points, boxes[0] if boxes else None)

    def in_crop(self, crop_xywh_px: CropXywh) -> Self:
        """Return the same prompts in pixels of the crop."""
        x, y, _, _ = crop_xywh_px
        box = self.box
        return type(self)(
            tuple(
                PointPrompt(x_px=one.x_px - x, y_px=one.y_px - y, label=one.label)
                for one in self.points
            ),
            None
            if box is None
            else BoxPrompt(
                x0_px=box.x0_px - x,
                y0_px=box.y0_px - y,
                x1_px=box.x1_px - x,
                y1_px=box.y1_px - y,
            ),
        )

    def require_inside(self, crop_xywh_px: CropXywh) -> None:
        """Raise InvalidInput that names the first prompt outside the crop."""
        x, y, width, height = crop_xywh_px
        places = [(point.x_px, point.y_px) for point in self.points]
        if self.box is not None:
            places += [(self.box.x0_px, self.box.y0_px), (self.box.x1_px, self.box.y1_px)]
        for x_px, y_px in places:
            is_inside = (
                x - MARGIN_PX <= x_px <= x + width + MARGIN_PX
                and y - MARGIN_PX <= y_px <= y + height + MARGIN_PX
            )
            if not is_inside:
                raise InvalidInput(
                    f"prompts: ({x_px:g}, {y_px:g}) lies outside the crop "
                    f"(x from {x} to {x + width}, y from {y} to {y + height})"
                )


def require_mask_in_crop(base_mask: Rle, crop_xywh_px: CropXywh) -> None:
    """Raise InvalidInput when the mask to change has no pixel in the crop."""
    if not base_mask.decode()[pixels_of(crop_xywh_px)].any():
        raise InvalidInput("base_mask: the mask to change has no pixel in the crop")
