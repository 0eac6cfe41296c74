"""Turns a labelled image into one training view: a random window at a random scale, some masks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from training.scenes.arrays import Array
from training.scenes.labelled import LabelledImage
from training.scenes.photometric import tone

MIN_MASK_AREA_PX = 12
MAX_MASK_SHARE = 0.9
"""Masks over more of the picture than this are left out (paper section A)."""
SMALLEST_WINDOW_PX = 128


@dataclass(frozen=True, slots=True)
class View:
    """One square training picture, padded at the bottom and right as in serving.

    image_hwc_u8: (S, S, 3); rows and columns past `valid_hw` are padding.
    masks_nhw: (N, S, S) bool, N >= 1.
    """

    image_hwc_u8: Array
    valid_hw: tuple[int, int]
    masks_nhw: Array


def draw_view(
    rng: np.random.Generator,
    labelled: LabelledImage,
    *,
    size_px: int,
    max_masks: int,
    whole_share: float = 0.3,
) -> View | None:
    """Draw a view, or None when the window shows no usable mask."""
    height, width = labelled.image_hwc_u8.shape[:2]
    x0, y0, side = _window(rng, height, width, whole_share=whole_share)
    x1, y1 = min(x0 + side, width), min(y0 + side, height)
    scale = size_px / side
    out_h = min(size_px, max(1, round((y1 - y0) * scale)))
    out_w = min(size_px, max(1, round((x1 - x0) * scale)))
    rows = np.minimum(y0 + ((np.arange(out_h) + 0.5) / scale).astype(int), height - 1)
    cols = np.minimum(x0 + ((np.arange(out_w) + 0.5) / scale).astype(int), width - 1)
    layers = labelled.layers_lhw[:, rows][:, :, cols]
    chosen = _choose_masks(rng, layers, max_masks=max_masks)
    if not chosen:
        return None
    masks = np.stack([layers[layer] == number for layer, number in chosen])
    photo = Image.fromarray(labelled.image_hwc_u8).resize(
        (out_w, out_h),
        Image.Resampling.BILINEAR,
        box=(x0, y0, x0 + out_w / scale if x0 + out_w / scale < width else width, y1),
        reducing_gap=2.0,
    )
    image = np.asarray(photo)
    if rng.random() < 0.5:
        image = tone(rng, image.astype(np.float32) / 255)
    image, masks = _turn(rng, image, masks)
    valid_hw = (image.shape[0], image.shape[1])
    pad = ((0, size_px - valid_hw[0]), (0, size_px - valid_hw[1]))
    return View(
        image_hwc_u8=np.pad(image, (*pad, (0, 0))),
        valid_hw=valid_hw,
        masks_nhw=np.pad(masks, ((0, 0), *pad)),
    )


def _window(
    rng: np.random.Generator, height: int, width: int, *, whole_share: float
) -> tuple[int, int, int]:
    longest = max(height, width)
    if rng.random() < whole_share:
        return 0, 0, longest
    smallest = min(SMALLEST_WINDOW_PX, longest)
    side = int(np.exp(rng.uniform(np.log(smallest), np.log(longest * 1.2))))
    x0 = int(rng.integers(0, max(width - side, 0) + 1))
    y0 = int(rng.integers(0, max(height - side, 0) + 1))
    return x0, y0, side


def _choose_masks(
    rng: np.random.Generator, layers: Array, *, max_masks: int
) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    weights: list[float] = []
    largest = MAX_MASK_SHARE * layers[0].size
    for index, layer in enumerate(layers):
        areas = np.bincount(layer.ravel())
        for number in np.nonzero(areas)[0]:
            area = int(areas[number])
            if number and MIN_MASK_AREA_PX <= area <= largest:
                found.append((index, int(number)))
                weights.append(1.0 + np.sqrt(area) / 20)  # wholes among hundreds of grains
    if not found:
        return []
    share = np.array(weights) / np.sum(weights)
    picks = rng.choice(len(found), size=min(max_masks, len(found)), replace=False, p=share)
    return [found[int(pick)] for pick in picks]


def _turn(rng: np.random.Generator, image: Array, masks: Array) -> tuple[Array, Array]:
    if rng.random() < 0.5:
        image, masks = image[:, ::-1], masks[:, :, ::-1]
    if rng.random() < 0.15:
        image, masks = image[::-1], masks[:, ::-1]
    if rng.random() < 0.15:
        image, masks = image.transpose(1, 0, 2), masks.transpose(0, 2, 1)
    return image, masks
