"""Fills, noise and light: everything that gives a scene's regions their look.

Colours and pictures are float32 RGB in 0..1 here; scenes are quantised once, at the end.
"""

from __future__ import annotations

import numpy as np
from PIL import Image

from training.scenes.arrays import Array
from training.scenes.assets import SceneAssets


def noise(
    rng: np.random.Generator, *, height_px: int, width_px: int, cell_px: float, octaves: int = 3
) -> Array:
    """Make smooth noise in -1..1 whose coarsest detail is about `cell_px` wide."""
    total = np.zeros((height_px, width_px), np.float32)
    gain = 1.0
    for octave in range(octaves):
        cell = max(cell_px / 2**octave, 1.0)
        grid = rng.uniform(-1, 1, (int(height_px / cell) + 2, int(width_px / cell) + 2)).astype(
            np.float32
        )
        layer = Image.fromarray(grid).resize((width_px, height_px), Image.Resampling.BICUBIC)
        total += gain * np.asarray(layer)
        gain *= 0.5
    peak = float(np.abs(total).max())
    result: Array = total / max(peak, 1e-6)
    return result


def colour(rng: np.random.Generator) -> Array:
    """Draw an RGB colour, muted ones and greys more often than vivid ones."""
    value = rng.uniform(0.03, 0.97)
    spread = rng.uniform(0, 1) ** 2 * 0.6
    tint = rng.uniform(-1, 1, 3)
    rgb: Array = np.clip(value + spread * (tint - tint.mean()), 0, 1).astype(np.float32)
    return rgb


def fill(rng: np.random.Generator, assets: SceneAssets, *, height_px: int, width_px: int) -> Array:
    """Paint a rectangle (H, W, 3): plain, gradient, noise, stripes, dots or a texture."""
    kind = rng.choice(6, p=(0.22, 0.15, 0.2, 0.1, 0.05, 0.28))
    if kind == 5:
        picture = crop_picture(
            rng, assets.picture(rng, texture=True), height_px=height_px, width_px=width_px
        )
        if picture is not None:
            return picture
    first, second = colour(rng), colour(rng)
    if kind in (0, 5):
        second = first
    mix = _mix_pattern(rng, int(kind), height_px=height_px, width_px=width_px)
    grain = rng.uniform(0, 0.06) * rng.standard_normal((height_px, width_px, 1), np.float32)
    painted: Array = (first + (second - first) * mix[..., None] + grain).astype(np.float32)
    return painted


def _mix_pattern(rng: np.random.Generator, kind: int, *, height_px: int, width_px: int) -> Array:
    yy, xx = np.mgrid[:height_px, :width_px].astype(np.float32)
    angle = rng.uniform(0, 2 * np.pi)
    along = xx * np.cos(angle) + yy * np.sin(angle)
    size = max(height_px, width_px)
    mix: Array
    if kind == 1:
        mix = (along - along.min()) / max(float(np.ptp(along)), 1e-6)
        return mix
    if kind == 3:
        mix = 0.5 + 0.5 * np.sign(np.sin(along * 2 * np.pi / rng.uniform(4, max(size / 3, 6))))
        return mix
    if kind == 4:
        period = rng.uniform(5, max(size / 4, 7))
        across = -xx * np.sin(angle) + yy * np.cos(angle)
        wave = np.sin(along * 2 * np.pi / period) * np.sin(across * 2 * np.pi / period)
        mix = (wave > 0.4).astype(np.float32)
        return mix
    cell = rng.uniform(2, max(size, 4))
    return 0.5 + 0.5 * noise(rng, height_px=height_px, width_px=width_px, cell_px=cell)


def crop_picture(
    rng: np.random.Generator, picture: Image.Image | None, *, height_px: int, width_px: int
) -> Array | None:
    """Cut a random window out of a picture and scale it to (H, W, 3)."""
    if picture is None:
        return None
    ratio = width_px / height_px
    share = rng.uniform(0.25, 1.0)
    width = share * min(picture.width, picture.height * ratio)
    height = width / ratio
    left, top = rng.uniform(0, picture.width - width), rng.uniform(0, picture.height - height)
    window = picture.resize(
        (width_px, height_px),
        Image.Resampling.BILINEAR,
        box=(left, top, left + width, top + height),
        reducing_gap=2.0,
    )
    return np.asarray(window, np.float32) / 255


def background(rng: np.random.Generator, assets: SceneAssets, *, size_px: int) -> Array:
    """Paint a whole square background: photo, texture or procedural fill."""
    if rng.random() < 0.45:
        picture = crop_picture(
            rng, assets.picture(rng, texture=False), height_px=size_px, width_px=size_px
        )
        if picture is not None:
            return picture
    return fill(rng, assets, height_px=size_px, width_px=size_px)


def relief(rng: np.random.Generator, alpha_hw: Array) -> Array:
    """Shade a shape as if it were rounded: (H, W) brightness factors around 1."""
    height, width = alpha_hw.shape
    blur = max(1.0, min(height, width) * rng.uniform(0.05, 0.3))
    image = Image.fromarray((alpha_hw * 255).astype(np.uint8))
    small = image.resize(
        (max(2, int(width / blur)), max(2, int(height / blur))), Image.Resampling.BOX
    ).resize((width, height), Image.Resampling.BICUBIC)
    hill = np.asarray(small, np.float32) / 255
    down, right = np.gradient(hill)
    angle = rng.uniform(0, 2 * np.pi)
    slope = right * np.cos(angle) + down * np.sin(angle)
    peak = float(np.abs(slope).max())
    shade = slope / max(peak, 1e-6) * rng.uniform(0, 0.4) + (hill - 1) * rng.uniform(0, 0.4)
    factors: Array = (1 + shade).astype(np.float32)
    return factors
