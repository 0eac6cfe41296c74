"""Scenes of many like things: grains and pebbles, cells and nuclei, windows and books.

They teach that look-alikes side by side are separate objects, down to about six pixels.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from training.scenes.arrays import Array
from training.scenes.assets import SceneAssets
from training.scenes.paint import background, colour, fill, noise, relief
from training.scenes.shapes import blob, polygon, window

MAX_STAMPS = 420
MAX_CELLS = 900


def grain_scene(
    rng: np.random.Generator, assets: SceneAssets, *, size_px: int
) -> tuple[Array, Array]:
    """Paint a heap of grains that hide one another; layers (1, S, S)."""
    canvas = background(rng, assets, size_px=size_px).copy()
    radius = float(np.exp(rng.uniform(np.log(5), np.log(45))))
    density = rng.uniform(0.3, 2.2)
    look = fill(rng, assets, height_px=size_px, width_px=size_px)
    sides, variety = int(rng.integers(4, 9)), rng.uniform(0.05, 0.5)
    tint_spread, outline = rng.uniform(0, 0.35), rng.uniform(0, 0.7)
    is_angular, is_textured = rng.random() < 0.5, rng.random() < 0.6
    base = colour(rng)

    def grain() -> tuple[Array, Array]:
        r = max(2.5, radius * float(np.exp(rng.normal(0, variety))))
        soft = rng.uniform(1, 2)
        cover = (
            polygon(rng, radius_px=r, num_sides=sides, elongation=2.2, softness_px=soft)
            if is_angular
            else blob(rng, radius_px=r, roughness=0.35, elongation=2.2, softness_px=soft)
        )
        height, width = cover.shape
        tint = 1 + tint_spread * (rng.normal(0, 1) + 0.3 * rng.normal(0, 1, 3))
        if is_textured and max(height, width) < size_px:
            y, x = rng.integers(0, size_px - height), rng.integers(0, size_px - width)
            rgb = look[y : y + height, x : x + width] * tint
        else:
            rgb = np.broadcast_to(base * tint, (height, width, 3))
        rgb = rgb * relief(rng, cover)[..., None]
        rim = 1 - outline * np.clip(1.6 - 1.6 * np.clip(cover, 0, 1), 0, 1)
        return np.clip(rgb * rim[..., None], 0, 1), cover

    count = int(np.clip(density * size_px**2 / (np.pi * radius**2), 6, MAX_STAMPS))
    return canvas, _stamp_all(rng, canvas, grain, count=count, min_visible=0.25, shadow=True)


def cell_scene(rng: np.random.Generator, *, size_px: int) -> tuple[Array, Array]:
    """Paint a microscope field: soft blobs, brighter or darker than an uneven ground."""
    ground_colour: Array
    blob_colour: Array
    is_fluorescent = rng.random() < 0.5
    wide = noise(rng, height_px=size_px, width_px=size_px, cell_px=rng.uniform(20, size_px))
    if is_fluorescent:
        ground_colour = np.full(3, rng.uniform(0.0, 0.12), np.float32)
        glow = float(np.exp(rng.uniform(np.log(0.06), np.log(0.95))))  # many are barely lit
        blob_colour = ground_colour + glow
        if rng.random() < 0.25:
            blob_colour = colour(rng)
    else:
        ground_colour = np.clip(rng.uniform(0.5, 1.0) + rng.normal(0, 0.12, 3), 0, 1)
        blob_colour = np.clip(ground_colour - rng.uniform(0.08, 0.6) * rng.uniform(0.4, 1, 3), 0, 1)
    uneven = rng.uniform(0, 0.35)
    canvas = (ground_colour * (1 + uneven * wide[..., None])).astype(np.float32)
    canvas = canvas + rng.uniform(0, 0.02) * rng.standard_normal(canvas.shape, np.float32)
    if not is_fluorescent and rng.random() < 0.6:  # tissue between the nuclei
        fine = noise(rng, height_px=size_px, width_px=size_px, cell_px=rng.uniform(6, 40))
        canvas += (fine[..., None] * rng.normal(0, 0.12, 3)).astype(np.float32)
    radius = float(np.exp(rng.uniform(np.log(3), np.log(40))))
    variety, rough = rng.uniform(0.05, 0.45), rng.uniform(0, 0.4)
    soft_edge, brightness = rng.uniform(1, 5), rng.uniform(0.05, 0.7)
    mottle = rng.uniform(0, 0.5)
    rim = 0.0
    if not is_fluorescent and rng.random() < 0.45:  # unstained: only a dark or bright rim shows
        rim = rng.uniform(0.3, 1.0) * rng.choice([-1, 1])
        blob_colour = np.clip(ground_colour * (1 + rng.normal(0, 0.08)), 0, 1)
        brightness *= 0.3

    def cell() -> tuple[Array, Array]:
        r = max(2.5, radius * float(np.exp(rng.normal(0, variety))))
        soft = min(soft_edge, r / 2)
        cover = blob(rng, radius_px=r, roughness=rough, elongation=2.4, softness_px=soft)
        height, width = cover.shape
        inner = noise(rng, height_px=height, width_px=width, cell_px=max(2.0, r / 2), octaves=2)
        change = float(np.exp(rng.normal(0, brightness)))
        target = blob_colour * change if is_fluorescent else 1 - (1 - blob_colour) * change
        edge = rim * np.clip(1.6 - 1.6 * np.clip(cover, 0, 1), 0, 1)
        rgb = target * (1 + mottle * inner[..., None]) * (1 + edge[..., None])
        return np.clip(rgb, 0, 1).astype(np.float32), cover

    density = float(np.exp(rng.uniform(np.log(0.03), np.log(0.8))))
    count = int(np.clip(density * size_px**2 / (np.pi * radius**2), 4, MAX_CELLS))
    layers = _stamp_all(rng, canvas, cell, count=count, min_visible=0.35, shadow=False)
    return np.clip(canvas, 0, 1), layers


def array_scene(
    rng: np.random.Generator, assets: SceneAssets, *, size_px: int
) -> tuple[Array, Array]:
    """Paint rows of rectangles with a frame and an inner field: windows, books, tiles.

    Layers (2, S, S): the rectangles and what lies inside their frames.
    """
    canvas = background(rng, assets, size_px=size_px).copy()
    layers = np.zeros((2, size_px, size_px), np.int16)
    pitch_x, pitch_y = np.exp(rng.uniform(np.log(14), np.log(150), 2))
    gap, frame = rng.uniform(0, 0.45), rng.uniform(0, 0.25)
    jitter, is_uniform = rng.uniform(0, 0.25), rng.random() < 0.5
    rim = fill(rng, assets, height_px=size_px, width_px=size_px)
    inner = fill(rng, assets, height_px=size_px, width_px=size_px)
    number = 0
    x_edges = _edges(rng, size_px, pitch_x, jitter)
    for top, bottom in _edges(rng, size_px, pitch_y, jitter):
        row_edges = x_edges if is_uniform else _edges(rng, size_px, pitch_x, 2 * jitter)
        for left, right in row_edges:
            gx, gy = gap * (right - left) / 2, gap * (bottom - top) / 2
            box = _box(left + gx, top + gy, right - gx, bottom - gy)
            if box is None or number >= MAX_STAMPS or rng.random() < 0.08:
                continue
            number += 1
            tone = 1 + rng.normal(0, 0.12) + (0 if is_uniform else rng.normal(0, 0.2, 3))
            canvas[box] = rim[box] * tone
            layers[0][box] = number
            fx, fy = gx + frame * (right - left) / 2, gy + frame * (bottom - top) / 2
            field = _box(left + fx, top + fy, right - fx, bottom - fy)
            if frame > 0.05 and field is not None:
                canvas[field] = inner[field] * (1 + rng.normal(0, 0.15))
                layers[1][field] = number
    return np.clip(canvas, 0, 1), layers


def _edges(
    rng: np.random.Generator, size_px: int, pitch_px: float, jitter: float
) -> list[tuple[float, float]]:
    edges, at = [], -rng.uniform(0, pitch_px)
    while at < size_px:
        step = pitch_px * max(0.3, 1 + jitter * rng.normal())
        edges.append((at, at + step))
        at += step
    return edges


def _box(x0: float, y0: float, x1: float, y1: float) -> tuple[slice, slice] | None:
    left, top, right, bottom = max(round(x0), 0), max(round(y0), 0), round(x1), round(y1)
    if right - left < 4 or bottom - top < 4:
        return None
    return slice(top, bottom), slice(left, right)


def _stamp_all(
    rng: np.random.Generator,
    canvas: Array,
    make: Callable[[], tuple[Array, Array]],
    *,
    count: int,
    min_visible: float,
    shadow: bool,
) -> Array:
    """Paint `count` made shapes over one another; return (1, S, S) ids of what stays seen."""
    size = canvas.shape[0]
    ids = np.zeros((size, size), np.int16)
    areas = [0]
    clusters = rng.uniform(0, size, (max(1, count // 12), 2))
    is_clustered, spread = rng.random() < 0.3, rng.uniform(0.04, 0.15) * size
    for _ in range(count):
        spot = rng.uniform(0, size, 2)
        if is_clustered:
            spot = clusters[int(rng.integers(len(clusters)))] + rng.normal(0, spread, 2)
        rgb, cover = make()
        row, col = int(spot[0]), int(spot[1])
        spots = window(ids.shape, cover.shape, row=row, col=col)
        if spots is None:
            continue
        there, here = spots
        alpha = cover[here][..., None]
        if shadow:
            canvas[there] *= 1 - 0.35 * np.sqrt(alpha)
        canvas[there] = canvas[there] * (1 - alpha) + rgb[here] * alpha
        ids[there][cover[here] >= 0.5] = len(areas)
        areas.append(int((cover >= 0.5).sum()))
    visible = np.bincount(ids.ravel(), minlength=len(areas))
    hidden = [k for k in range(1, len(areas)) if visible[k] < min_visible * areas[k]]
    ids[np.isin(ids, hidden)] = 0
    return ids[None]
