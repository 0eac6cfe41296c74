"""Scenes of things: cut-outs and invented shapes with parts, lit, shadowed and overlapping."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageFilter

from training.scenes.arrays import Array
from training.scenes.assets import SceneAssets
from training.scenes.paint import background, colour, fill, noise, relief
from training.scenes.shapes import any_shape, split_parts, window

MIN_VISIBLE_SHARE = 0.2
"""An object that others cover more than this leaves is no fair target."""


@dataclass(frozen=True, slots=True)
class Thing:
    """One object before it is placed: look, coverage and parts, all (h, w)."""

    rgb_hwc: Array
    coverage_hw: Array
    parts_hw: Array


def object_scene(
    rng: np.random.Generator, assets: SceneAssets, *, size_px: int
) -> tuple[Array, Array]:
    """Paint a scene of things on a background.

    Returns (S, S, 3) float RGB in 0..1 and (3, S, S) int16 layers: wholes, parts, regions.
    """
    canvas = background(rng, assets, size_px=size_px).copy()
    regions: Array = np.zeros((size_px, size_px), np.int16)
    if rng.random() < 0.35:
        regions = _paint_regions(rng, assets, canvas)
    wholes = np.zeros((size_px, size_px), np.int16)
    parts = np.zeros((size_px, size_px), np.int16)
    areas: list[int] = [0]
    next_part = 1
    typical = float(np.exp(rng.uniform(np.log(0.05), np.log(0.35)))) * size_px
    num_things = int(np.clip(rng.uniform(0.2, 1.2) * (0.7 * size_px / typical) ** 2, 1, 45))
    thing: Thing | None = None
    for _ in range(num_things):
        if thing is None or rng.random() > 0.2:  # sometimes the same thing again, elsewhere
            side = max(10.0, typical * float(np.exp(rng.normal(0, 0.5))))
            thing = _make_thing(rng, assets, side_px=min(side, 0.8 * size_px))
        row, col = (int(v) for v in rng.integers(0, size_px, 2))
        spots = window(wholes.shape, thing.coverage_hw.shape, row=row, col=col)
        if spots is None:
            continue
        there, here = spots
        _cast_shadow(rng, canvas, thing.coverage_hw, row=row, col=col)
        cover = thing.coverage_hw[here][..., None]
        canvas[there] = canvas[there] * (1 - cover) + thing.rgb_hwc[here] * cover
        inside = thing.coverage_hw[here] >= 0.5
        wholes[there][inside] = len(areas)
        areas.append(int((thing.coverage_hw >= 0.5).sum()))
        named = thing.parts_hw[here]
        parts[there][inside] = np.where(named > 0, named + next_part - 1, 0)[inside]
        next_part += int(thing.parts_hw.max())
    _drop_hidden(wholes, areas)
    regions[wholes > 0] = 0
    return canvas, np.stack([wholes, parts, regions])


def _make_thing(rng: np.random.Generator, assets: SceneAssets, *, side_px: float) -> Thing:
    if rng.random() < 0.62:
        cutout = assets.cutout(rng)
        if cutout is not None:
            return _from_cutout(rng, cutout, side_px=side_px)
    coverage = any_shape(rng, radius_px=side_px / 2)
    height, width = coverage.shape
    rgb = fill(rng, assets, height_px=height, width_px=width).copy()
    parts = np.zeros(coverage.shape, np.int16)
    if side_px > 24 and rng.random() < 0.5:
        parts = split_parts(rng, coverage)
        for number in range(1, int(parts.max()) + 1):
            look = fill(rng, assets, height_px=height, width_px=width)
            rgb[parts == number] = look[parts == number]
    if rng.random() < 0.7:
        rgb *= relief(rng, coverage)[..., None]
    return Thing(rgb_hwc=np.clip(rgb, 0, 1), coverage_hw=coverage, parts_hw=parts)


def _from_cutout(rng: np.random.Generator, cutout: Image.Image, *, side_px: float) -> Thing:
    scale = side_px / max(cutout.size)
    warp = float(np.exp(rng.normal(0, 0.12)))
    size = (
        max(4, int(cutout.width * scale * warp)),
        max(4, int(cutout.height * scale / warp)),
    )
    patch = cutout.resize(size, Image.Resampling.BOX if scale < 1 else Image.Resampling.BILINEAR)
    if rng.random() < 0.5:
        patch = patch.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    angle = rng.uniform(0, 360) if rng.random() < 0.5 else rng.normal(0, 12)
    patch = patch.rotate(angle, Image.Resampling.BILINEAR, expand=True)
    data = np.asarray(patch, np.float32) / 255
    gain = np.exp(rng.normal(0, 0.2)) * (1 + rng.normal(0, 0.08, 3))
    rgb = np.clip(data[..., :3] * gain.astype(np.float32), 0, 1)
    if rng.random() < 0.1:  # a silhouette: form without inner look
        rgb = rgb * 0.15 + 0.85 * colour(rng)
    coverage = data[..., 3]
    return Thing(rgb_hwc=rgb, coverage_hw=coverage, parts_hw=np.zeros(coverage.shape, np.int16))


def _cast_shadow(
    rng: np.random.Generator, canvas: Array, coverage_hw: Array, *, row: int, col: int
) -> None:
    if rng.random() < 0.45:
        return
    reach = max(coverage_hw.shape)
    blur = max(1.0, reach * rng.uniform(0.01, 0.12))
    pad = int(2 * blur) + 1
    padded = np.pad((coverage_hw * 255).astype(np.uint8), pad)
    soft = Image.fromarray(padded).filter(ImageFilter.BoxBlur(blur))
    shift = rng.normal(0, 0.08 * reach, 2)
    spots = window(canvas.shape[:2], padded.shape, row=int(row + shift[0]), col=int(col + shift[1]))
    if spots is None:
        return
    there, here = spots
    dark = np.asarray(soft, np.float32)[here][..., None] / 255
    canvas[there] *= 1 - rng.uniform(0.1, 0.6) * dark


def _paint_regions(rng: np.random.Generator, assets: SceneAssets, canvas: Array) -> Array:
    """Divide the background into a few wavy regions with looks of their own."""
    size = canvas.shape[0]
    yy, xx = np.mgrid[:size, :size].astype(np.float32) / size
    regions = np.ones((size, size), np.int16)
    for number in range(2, int(rng.integers(2, 5)) + 1):
        angle = rng.uniform(0, 2 * np.pi)
        wave = noise(rng, height_px=size, width_px=size, cell_px=size / 3) * rng.uniform(0, 0.25)
        line = (xx - 0.5) * np.cos(angle) + (yy - 0.5) * np.sin(angle) + wave
        chosen = line > rng.uniform(-0.1, 0.35)
        look = background(rng, assets, size_px=size)
        canvas[chosen] = look[chosen]
        regions[chosen] = number
    return regions


def _drop_hidden(wholes: Array, areas: list[int]) -> None:
    visible = np.bincount(wholes.ravel(), minlength=len(areas))
    hidden = [k for k in range(1, len(areas)) if visible[k] < MIN_VISIBLE_SHARE * areas[k]]
    if hidden:
        wholes[np.isin(wholes, hidden)] = 0
