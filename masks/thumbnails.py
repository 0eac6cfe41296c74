"""Masks of a large image, seen small: sampled from their runs, never decoded at full size."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from masks.rle import Rle


def label_map(rles: Sequence[Rle], *, height_px: int, width_px: int) -> NDArray[np.uint8]:
    """Return (height_px, width_px) of 0 for background and 1 to 255 for masks, in turn.

    All masks have one size. Where they overlap the smaller one is seen; each pixel shows the
    mask at its own centre.
    """
    labels = np.zeros((height_px, width_px), dtype=np.uint8)
    order = sorted(range(len(rles)), key=lambda index: -rles[index].area_px)
    for index in order:
        _paint(labels, rles[index], value=1 + index % 255)
    return labels


def _paint(labels: NDArray[np.uint8], rle: Rle, *, value: int) -> None:
    height_px, width_px = labels.shape
    x0, y0, w, h = rle.bbox_xywh_px
    xs, columns = _samples(x0, w, full=rle.width_px, small=width_px)
    ys, rows = _samples(y0, h, full=rle.height_px, small=height_px)
    if xs.size == 0 or ys.size == 0:
        return
    ends = np.cumsum(rle.runs())
    flat = columns[None, :] * rle.height_px + rows[:, None]
    inside = (np.searchsorted(ends, flat, side="right") & 1).astype(bool)
    window = labels[ys[0] : ys[-1] + 1, xs[0] : xs[-1] + 1]
    window[inside] = value


def _samples(
    first: int, length: int, *, full: int, small: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the small pixels whose centres lie in [first, first + length), and those centres."""
    centres = ((np.arange(small) + 0.5) * full / small).astype(np.int64)
    places = np.nonzero((centres >= first) & (centres < first + length))[0]
    return places, centres[places]
