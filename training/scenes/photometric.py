"""What a camera does to a finished scene: light, lens, sensor and tone."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageFilter

from training.scenes.arrays import Array
from training.scenes.paint import noise


def photograph(rng: np.random.Generator, rgb_hwc: Array) -> Array:
    """Light, blur, grain and tone-map a float scene; returns (H, W, 3) uint8."""
    height, width, _ = rgb_hwc.shape
    rgb = np.clip(rgb_hwc, 0, 1)
    if rng.random() < 0.5:
        light = noise(rng, height_px=height, width_px=width, cell_px=max(height, width) / 1.5)
        rgb = rgb * (1 + rng.uniform(0, 0.45) * light[..., None])
    rgb = np.clip(rgb, 0, 1)
    blur = rng.choice([0.0, 0.6, 1.0, 1.6, 2.4], p=[0.3, 0.3, 0.2, 0.13, 0.07])
    if blur:
        image = Image.fromarray((rgb * 255).astype(np.uint8))
        rgb = np.asarray(image.filter(ImageFilter.GaussianBlur(float(blur))), np.float32) / 255
    rgb = rgb + rng.uniform(0, 0.05) ** 1.3 * rng.standard_normal(rgb.shape, np.float32)
    return tone(rng, np.clip(rgb, 0, 1))


def tone(rng: np.random.Generator, rgb_hwc: Array) -> Array:
    """Draw gamma, contrast, cast, greyscale and inversion; float 0..1 in, uint8 out."""
    rgb = np.clip(rgb_hwc, 0, 1).astype(np.float32)
    if rng.random() < 0.2:
        rgb = np.repeat(rgb.mean(axis=2, keepdims=True), 3, axis=2)
    if rng.random() < 0.12:
        rgb = 1 - rgb
    if rng.random() < 0.6:
        strength = 0.8 if rng.random() < 0.2 else 0.35
        rgb = rgb ** float(np.exp(rng.normal(0, strength)))
    if rng.random() < 0.5:
        rgb = (rgb - 0.5) * rng.uniform(0.5, 1.3) + 0.5 + rng.normal(0, 0.08)
    if rng.random() < 0.4:
        rgb = rgb * (1 + rng.normal(0, 0.08, 3).astype(np.float32))
    return (np.clip(rgb, 0, 1) * 255 + 0.5).astype(np.uint8)
