"""A photo or scene with its masks, packed so that hundreds of masks stay cheap to crop.

Overlapping masks (a whole and its parts) live in different layers of one label stack.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from training.scenes.arrays import Array

JPEG_QUALITY = 93
"""High enough that edges stay, low enough that the model sees JPEG noise as in real photos."""


@dataclass(frozen=True, slots=True)
class LabelledImage:
    """An RGB image and its masks.

    image_hwc_u8: (H, W, 3) uint8.
    layers_lhw: (L, H, W) int16; 0 is no mask; each positive id within one layer is one mask.
    """

    image_hwc_u8: Array
    layers_lhw: Array

    def save(self, path: Path, *, image_format: str = "JPEG", quality: int = JPEG_QUALITY) -> None:
        """Write the image, as JPEG or WebP, and the layers compressed, atomically."""
        buffer = io.BytesIO()
        Image.fromarray(self.image_hwc_u8).save(buffer, image_format, quality=quality)
        partial = path.with_suffix(".partial")
        with partial.open("wb") as file:
            np.savez_compressed(
                file,
                jpeg=np.frombuffer(buffer.getvalue(), np.uint8),
                layers_lhw=self.layers_lhw,
            )
        partial.replace(path)

    def at_most(self, long_side_px: int) -> LabelledImage:
        """Return it no larger than that; masks are sampled at the middle of each pixel."""
        height, width = self.image_hwc_u8.shape[:2]
        scale = long_side_px / max(height, width)
        if scale >= 1:
            return self
        out_h, out_w = max(1, round(height * scale)), max(1, round(width * scale))
        rows = ((np.arange(out_h) + 0.5) * height / out_h).astype(int)
        columns = ((np.arange(out_w) + 0.5) * width / out_w).astype(int)
        image = Image.fromarray(self.image_hwc_u8).resize((out_w, out_h), Image.Resampling.LANCZOS)
        return LabelledImage(np.asarray(image), self.layers_lhw[:, rows][:, :, columns])

    @classmethod
    def load(cls, path: Path) -> LabelledImage:
        """Read what `save` wrote."""
        with np.load(path) as data:
            image = Image.open(io.BytesIO(data["jpeg"].tobytes())).convert("RGB")
            return cls(image_hwc_u8=np.asarray(image), layers_lhw=data["layers_lhw"])


def pack_layers(masks_nhw: Sequence[Array], *, max_layers: int = 4) -> Array:
    """Pack boolean masks into as few label layers as their overlaps allow.

    Large masks go first, so wholes end up below their parts; masks that fit into none of
    `max_layers` layers are left out. Overlaps of under 5 % of a mask are given to the
    earlier mask. Returns (L, H, W) int16, L >= 1.
    """
    if not len(masks_nhw):
        raise ValueError("pack_layers needs at least one mask")
    order = sorted(range(len(masks_nhw)), key=lambda i: -int(masks_nhw[i].sum()))
    layers: list[Array] = []
    counts: list[int] = []
    for index in order:
        mask = masks_nhw[index].astype(bool)
        area = int(mask.sum())
        if not area:
            continue
        slot = next(
            (k for k, layer in enumerate(layers) if (layer[mask] > 0).sum() <= 0.05 * area), None
        )
        if slot is None:
            if len(layers) == max_layers:
                continue
            layers.append(np.zeros(mask.shape, np.int16))
            counts.append(0)
            slot = len(layers) - 1
        counts[slot] += 1
        layers[slot][mask & (layers[slot] == 0)] = counts[slot]
    return np.stack(layers) if layers else np.zeros((1, *masks_nhw[0].shape), np.int16)
