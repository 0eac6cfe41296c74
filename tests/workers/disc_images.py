"""Images of discs with their exact masks; no torch, so that scenario steps start quickly."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image


def disc(*, size_px: int, x_px: int, y_px: int, radius_px: int) -> np.ndarray:
    """A (size, size) bool mask of one disc."""
    ys, xs = np.mgrid[:size_px, :size_px]
    return np.asarray((xs - x_px) ** 2 + (ys - y_px) ** 2 <= radius_px**2)


def disc_image(
    seed: int, *, size_px: int = 96, num_discs: int = 3
) -> tuple[bytes, list[np.ndarray]]:
    """PNG bytes of bright discs on a dark ground, and their masks; another seed, another image."""
    random = np.random.default_rng(seed)
    pixels = random.integers(20, 60, (size_px, size_px, 3), dtype=np.uint8)
    masks = []
    for place in range(num_discs):
        centre = (place + 0.5) * size_px / num_discs
        mask = disc(
            size_px=size_px,
            x_px=int(centre),
            y_px=int(random.integers(size_px // 4, 3 * size_px // 4)),
            radius_px=int(random.integers(size_px // 10, size_px // 7)),
        )
        pixels[mask] = random.integers(120, 255, 3, dtype=np.uint8)
        masks.append(mask)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue(), masks
