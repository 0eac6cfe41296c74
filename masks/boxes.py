"""Axis-aligned boxes as arrays: conversion, clipping and overlap.

Boxes are continuous: xyxy is (left, top, right, bottom) and right - left is the width.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


def xyxy_to_xywh(boxes_xyxy: ArrayLike) -> Floats:
    """Turn (..., 4) corners into (..., 4) corner and size."""
    boxes = _boxes(boxes_xyxy)
    return np.concatenate([boxes[..., :2], boxes[..., 2:] - boxes[..., :2]], axis=-1)


def xywh_to_xyxy(boxes_xywh: ArrayLike) -> Floats:
    """Turn (..., 4) corner and size into (..., 4) corners."""
    boxes = _boxes(boxes_xywh)
    return np.concatenate([boxes[..., :2], boxes[..., :2] + boxes[..., 2:]], axis=-1)


def clip_xyxy(boxes_xyxy: ArrayLike, *, image_hw: tuple[int, int]) -> Floats:
    """Cut (..., 4) boxes off at the image's borders."""
    height, width = image_hw
    limit = np.array([width, height, width, height], dtype=np.float64)
    return np.asarray(np.clip(_boxes(boxes_xyxy), 0.0, limit))


def box_iou(a_xyxy: ArrayLike, b_xyxy: ArrayLike) -> Floats:
    """Return the IoU of every box of a (N, 4) with every box of b (M, 4): (N, M).

    Two boxes without area have IoU 0.
    """
    a, b = _boxes(a_xyxy).reshape(-1, 4), _boxes(b_xyxy).reshape(-1, 4)
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    overlap = np.clip(high - low, 0.0, None).prod(axis=-1)
    area_a = np.clip(a[:, 2:] - a[:, :2], 0.0, None).prod(axis=-1)
    area_b = np.clip(b[:, 2:] - b[:, :2], 0.0, None).prod(axis=-1)
    union = area_a[:, None] + area_b[None, :] - overlap
    return np.asarray(np.divide(overlap, union, out=np.zeros_like(overlap), where=union > 0))


def pixels_of(bbox_xywh_px: tuple[int, int, int, int]) -> tuple[slice, slice]:
    """Return the rows and columns of an image that a box of whole pixels covers."""
    x, y, width, height = bbox_xywh_px
    return slice(y, y + height), slice(x, x + width)


def _boxes(values: ArrayLike) -> Floats:
    boxes = np.asarray(values, dtype=np.float64)
    if boxes.size == 0:
        return boxes.reshape(-1, 4)
    if boxes.ndim < 1 or boxes.shape[-1] != 4:
        raise ValueError(f"boxes have 4 values each, got shape {boxes.shape}")
    return boxes
