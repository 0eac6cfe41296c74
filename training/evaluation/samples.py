"""What a model answered, as images: the truth, one click, five clicks and the box side by side.

Figures say how good a model is; these say what it gets wrong.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from masks.rle import Rle
from sam.overlay import overlay
from training.data.features import load_image
from training.data.manifest import ImageRecord
from training.evaluation.sessions import Mask, iou

PANELS = {1: "1 click", 5: "5 clicks", 0: "box"}
"""By the number of clicks; 0 is the box."""
PANEL_PX = 420
CAPTION_PX = 22
CLICK_RADIUS_PX = 4
JPEG_QUALITY = 88


@dataclass(slots=True)
class Samples:
    """Draws up to `max_images` images of an evaluation into `folder`, one file each."""

    folder: Path
    max_images: int = 10
    _answers: dict[int, list[Mask]] = field(default_factory=dict)
    _truths: list[Mask] = field(default_factory=list)
    _clicks: list[tuple[int, int]] = field(default_factory=list)

    def wants(self, place: int, total: int) -> bool:
        """Tell whether image `place` (from 0) of `total` is drawn: evenly spread, the first is."""
        return place * self.max_images % total < self.max_images

    def begin(self) -> None:
        """Start a new image."""
        self._answers = {number: [] for number in PANELS}
        self._truths, self._clicks = [], []

    def batch(self, truths: Sequence[Mask], clicks: Sequence[tuple[int, int]]) -> None:
        """Take in the next masks of the image and where each was clicked first."""
        self._truths += truths
        self._clicks += clicks
        for answers in self._answers.values():  # who needs no more clicks keeps a perfect mask
            answers += truths

    def record(self, index: int, num_clicks: int, predicted: Mask, *, batch_size: int) -> None:
        """Take in an answer: `index` is the mask's place in the batch of `batch_size`."""
        if num_clicks in self._answers:
            place = len(self._truths) - batch_size + index
            self._answers[num_clicks][place] = predicted

    def write(self, image: ImageRecord) -> None:
        """Draw the image, unless none of its masks was measured."""
        if not self._truths:
            return
        pixels = load_image(image)
        panels = [self._panel(pixels, self._truths, "truth, first clicks", clicks=self._clicks)]
        for number, title in PANELS.items():
            answers = self._answers[number]
            mean = float(np.mean([iou(t, a) for t, a in zip(self._truths, answers, strict=True)]))
            panels.append(self._panel(pixels, answers, f"{title}: IoU {mean:.2f}"))
        sheet = Image.new("RGB", (sum(p.width for p in panels), panels[0].height), "white")
        x_px = 0
        for panel in panels:
            sheet.paste(panel, (x_px, 0))
            x_px += panel.width
        self.folder.mkdir(parents=True, exist_ok=True)
        name = "".join(c if c.isalnum() or c in "-_." else "_" for c in image.image_id)
        part = "" if image.crop_xywh_px is None else "-{}-{}-{}".format(*image.crop_xywh_px)
        sheet.save(self.folder / f"{name[:120]}{part}.jpg", quality=JPEG_QUALITY)

    @staticmethod
    def _panel(
        pixels: NDArray[np.uint8],
        masks: Sequence[Mask],
        caption: str,
        *,
        clicks: Sequence[tuple[int, int]] = (),
    ) -> Image.Image:
        painted = Image.fromarray(overlay(pixels, [Rle.encode(mask) for mask in masks]))
        scale = PANEL_PX / max(painted.size)
        size = (max(1, round(painted.width * scale)), max(1, round(painted.height * scale)))
        panel = Image.new("RGB", (size[0] + 4, size[1] + CAPTION_PX), "white")
        panel.paste(painted.resize(size), (0, CAPTION_PX))
        draw = ImageDraw.Draw(panel)
        draw.text((4, 4), caption, fill="black")
        for x, y in clicks:
            cx, cy = (x + 0.5) * scale, (y + 0.5) * scale + CAPTION_PX
            r = CLICK_RADIUS_PX
            draw.ellipse((cx - r, cy - r, cx + r, cy + r), fill="white", outline="black")
        return panel
