"""Outlines: random shapes as soft coverage maps, and the parts they split into.

A coverage map is (h, w) float32 in 0..1; a pixel belongs to the shape from 0.5 on.
"""

from __future__ import annotations

import numpy as np

from training.scenes.arrays import Array


def grid_around(size_px: int) -> tuple[Array, Array]:
    """Return x and y of each pixel centre of a square patch, measured from its middle."""
    axis = np.arange(size_px, dtype=np.float32) - (size_px - 1) / 2
    xx, yy = np.meshgrid(axis, axis)
    return xx, yy


def blob(
    rng: np.random.Generator,
    *,
    radius_px: float,
    roughness: float = 0.25,
    elongation: float = 1.6,
    softness_px: float = 1.0,
) -> Array:
    """Draw a rounded outline: an ellipse whose radius is bent by a few waves."""
    stretch = np.sqrt(rng.uniform(1, elongation))
    size = int(np.ceil(2 * radius_px * stretch * (1 + roughness) + 2 * softness_px)) + 2
    xx, yy = grid_around(size)
    turn = rng.uniform(0, np.pi)
    u = (xx * np.cos(turn) + yy * np.sin(turn)) / stretch
    v = (-xx * np.sin(turn) + yy * np.cos(turn)) * stretch
    distance, angle = np.hypot(u, v), np.arctan2(v, u)
    bend = np.zeros_like(distance)
    for wave in range(2, 6):
        bend += rng.uniform(-1, 1) / wave * np.cos(wave * angle + rng.uniform(0, 2 * np.pi))
    edge = radius_px * (1 + roughness * bend)
    coverage: Array = np.clip((edge - distance) / softness_px + 0.5, 0, 1).astype(np.float32)
    return coverage


def polygon(
    rng: np.random.Generator,
    *,
    radius_px: float,
    num_sides: int,
    elongation: float = 1.6,
    softness_px: float = 1.0,
) -> Array:
    """Draw a convex polygon as the common part of `num_sides` half planes."""
    stretch = np.sqrt(rng.uniform(1, elongation))
    size = int(np.ceil(2.9 * radius_px * stretch)) + 3
    xx, yy = grid_around(size)
    turn = rng.uniform(0, 2 * np.pi)
    u = (xx * np.cos(turn) + yy * np.sin(turn)) / stretch
    v = (-xx * np.sin(turn) + yy * np.cos(turn)) * stretch
    inside = np.full(xx.shape, np.inf, np.float32)
    jitter = 0.5 / num_sides
    for side in range(num_sides):
        angle = 2 * np.pi * (side / num_sides + rng.uniform(-jitter, jitter))
        reach = radius_px * rng.uniform(0.75, 1.0)
        inside = np.minimum(inside, reach - u * np.cos(angle) - v * np.sin(angle))
    return np.clip(inside / softness_px + 0.5, 0, 1).astype(np.float32)


def stroke(rng: np.random.Generator, *, radius_px: float) -> Array:
    """Draw a long thin bent shape: a rod, a handle, a wire."""
    size = int(np.ceil(2.2 * radius_px)) + 3
    xx, yy = grid_around(size)
    turn = rng.uniform(0, 2 * np.pi)
    u = xx * np.cos(turn) + yy * np.sin(turn)
    v = -xx * np.sin(turn) + yy * np.cos(turn)
    middle = (
        rng.uniform(-0.35, 0.35)
        * radius_px
        * np.sin(u / radius_px * rng.uniform(1, 4) + rng.uniform(0, 6))
    )
    half_width = max(1.2, radius_px * rng.uniform(0.04, 0.2))
    inside = np.minimum(half_width - np.abs(v - middle), radius_px * 0.95 - np.abs(u))
    coverage: Array = np.clip(inside + 0.5, 0, 1).astype(np.float32)
    return coverage


def ring(rng: np.random.Generator, *, radius_px: float) -> Array:
    """Draw a closed band with a hole."""
    outer = blob(rng, radius_px=radius_px, roughness=0.05)
    xx, yy = grid_around(outer.shape[0])
    hole = np.clip(np.hypot(xx, yy) - radius_px * rng.uniform(0.35, 0.75) + 0.5, 0, 1)
    return (outer * hole).astype(np.float32)


def any_shape(rng: np.random.Generator, *, radius_px: float) -> Array:
    """Draw one of all kinds of outline."""
    kind = rng.choice(5, p=(0.35, 0.15, 0.3, 0.12, 0.08))
    if kind == 0:
        return blob(rng, radius_px=radius_px, roughness=rng.uniform(0, 0.6))
    if kind == 1:
        return blob(rng, radius_px=radius_px, roughness=0.0, elongation=4)
    if kind == 2:
        return polygon(rng, radius_px=radius_px, num_sides=int(rng.integers(3, 8)), elongation=4)
    if kind == 3:
        return stroke(rng, radius_px=radius_px)
    return ring(rng, radius_px=radius_px)


def split_parts(rng: np.random.Generator, coverage_hw: Array) -> Array:
    """Split a shape into parts: (h, w) int16, 0 = outside or left over, ids from 1.

    Either cut by a few lines, so that the parts tile the shape, or inlaid with smaller
    shapes, so that the rest stays unnamed.
    """
    inside = coverage_hw >= 0.5
    parts = np.zeros(coverage_hw.shape, np.int16)
    height, width = coverage_hw.shape
    if rng.random() < 0.45:
        xx, yy = grid_around(max(height, width))
        code = np.ones((height, width), np.int16)
        for bit in range(int(rng.integers(1, 3))):
            angle, shift = rng.uniform(0, 2 * np.pi), rng.uniform(-0.2, 0.2) * min(height, width)
            line = xx * np.cos(angle) + yy * np.sin(angle) + shift
            code += (line[:height, :width] > 0).astype(np.int16) << bit
        parts[inside] = code[inside]
        return parts
    rows, cols = np.nonzero(inside)
    for number in range(1, int(rng.integers(1, 5)) + 1):
        if not len(rows):
            break
        pick = int(rng.integers(len(rows)))
        radius = min(height, width) * rng.uniform(0.06, 0.25)
        inlay = any_shape(rng, radius_px=max(radius, 2.0)) >= 0.5
        stamp(parts, inlay, row=int(rows[pick]), col=int(cols[pick]), value=number, within=inside)
    return parts


def stamp(
    target_hw: Array,
    shape_hw: Array,
    *,
    row: int,
    col: int,
    value: int,
    within: Array | None = None,
) -> None:
    """Write `value` where a shape centred at (row, col) falls, clipped to the target."""
    spots = window(target_hw.shape, shape_hw.shape, row=row, col=col)
    if spots is None:
        return
    there, here = spots
    chosen = shape_hw[here] if within is None else shape_hw[here] & within[there]
    target_hw[there][chosen] = value


def window(
    target_hw: tuple[int, ...], patch_hw: tuple[int, ...], *, row: int, col: int
) -> tuple[tuple[slice, slice], tuple[slice, slice]] | None:
    """Return the slices of a canvas and of a patch that overlap, or None when they do not."""
    top, left = row - patch_hw[0] // 2, col - patch_hw[1] // 2
    y0, y1 = max(top, 0), min(top + patch_hw[0], target_hw[0])
    x0, x1 = max(left, 0), min(left + patch_hw[1], target_hw[1])
    if y0 >= y1 or x0 >= x1:
        return None
    return (slice(y0, y1), slice(x0, x1)), (
        slice(y0 - top, y1 - top),
        slice(x0 - left, x1 - left),
    )
