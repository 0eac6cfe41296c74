"""What to show the model so that one click changes an existing mask: its logits, and a context.

A mask alone hardly binds the decoder; a point deep inside it and its box do. The page does the
same in annotator_ui/frontend/src/core/mask/seeds.ts, pinned by tests/golden/seeds.json.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Floats = NDArray[np.float32]

SEED_LOGIT = 8.0
"""Logit of a cell that lies wholly inside the mask; outside it is the negative of that."""
PINHOLE_CELLS = 1.5
"""A decoder may cut a hole of less than a cell on each side out of any mask around a removing click
(`sam.click_rules`); with room for a pixel of the image."""
NEGATIVE_CLICK_MARGIN = 0.1
"""Air around the mask in the box said with a removing click, a share of its longer side."""


@dataclass(frozen=True, slots=True)
class Context:
    """A positive point (x, y) and a box (x0, y0, x1, y1), image pixels, said with the click."""

    point_xy_px: tuple[float, float]
    box_xyxy_px: tuple[float, float, float, float]


def coverage(
    mask_hw: NDArray[np.bool_], *, input_hw: tuple[int, int], side: int, stride_px: int
) -> Floats:
    """Share of each low-resolution cell that the mask covers, (side, side), 0 in the padding.

    input_hw: the image's size inside the model's square; a cell is stride_px of its pixels.
    """
    height, width = mask_hw.shape
    down = _overlaps(side, cell_px=stride_px * height / input_hw[0], num_px=height)
    across = _overlaps(side, cell_px=stride_px * width / input_hw[1], num_px=width)
    return np.asarray(down @ mask_hw.astype(np.float32) @ across.T, dtype=np.float32)


def seed_logits(covered: Floats) -> Floats:
    """Turn coverage (side, side) into logits the decoder takes as its mask input."""
    return ((2.0 * covered - 1.0) * np.float32(SEED_LOGIT)).astype(np.float32)


def context_of(
    covered: Floats,
    bbox_xywh_px: tuple[int, int, int, int],
    *,
    image_hw: tuple[int, int],
    cell_wh_px: tuple[float, float],
    click_xy_px: tuple[float, float],
    adds: bool,
) -> Context:
    """Choose what to say beside a click on the mask: deep inside it, but away from the click.

    cell_wh_px: a low-resolution cell in image pixels. adds: whether the click adds or removes.
    """
    cell_width, cell_height = cell_wh_px
    x, y = click_xy_px
    inside = covered >= 0.5
    depth = ndimage.distance_transform_cdt(np.pad(inside, 1), metric="chessboard")[1:-1, 1:-1]
    rows, columns = np.indices(inside.shape)
    apart = np.maximum(np.abs(columns - int(x // cell_width)), np.abs(rows - int(y // cell_height)))
    score = np.minimum(depth, apart) if inside.any() else covered
    row, column = np.unravel_index(int(np.argmax(score)), score.shape)
    height, width = image_hw
    point = (
        min(float((column + 0.5) * cell_width), width - 0.5),
        min(float((row + 0.5) * cell_height), height - 0.5),
    )
    x0, y0, box_width, box_height = bbox_xywh_px
    left, top = min(float(x0), x), min(float(y0), y)
    right, bottom = max(float(x0 + box_width), x + 1), max(float(y0 + box_height), y + 1)
    air = 0.0 if adds else NEGATIVE_CLICK_MARGIN * max(right - left, bottom - top)
    box = (
        max(0.0, left - air),
        max(0.0, top - air),
        min(float(width), right + air),
        min(float(height), bottom + air),
    )
    return Context(point, box)


def local_edit(
    mask_hw: NDArray[np.bool_],
    answer_hw: NDArray[np.bool_],
    *,
    click_xy_px: tuple[float, float],
    adds: bool,
) -> NDArray[np.bool_] | None:
    """Change the mask only where the click is: the connected part of the answer's difference there.

    None when the answer does not differ from the mask at the click.
    """
    changed = answer_hw & ~mask_hw if adds else mask_hw & ~answer_hw
    labels, _ = ndimage.label(changed, structure=np.ones((3, 3), dtype=bool))
    height, width = mask_hw.shape
    label = labels[min(int(click_xy_px[1]), height - 1), min(int(click_xy_px[0]), width - 1)]
    if label == 0:
        return None
    part = labels == label
    return np.asarray(mask_hw | part if adds else mask_hw & ~part)


def is_pinhole(
    mask_hw: NDArray[np.bool_],
    edited_hw: NDArray[np.bool_],
    *,
    click_xy_px: tuple[float, float],
    cell_wh_px: tuple[float, float],
) -> bool:
    """Say whether a removing click took no more than a decoder takes around any such click.

    Whether it was understood cannot be seen of that. cell_wh_px: as in `context_of`.
    """
    taken = mask_hw & ~edited_hw
    for axis, (at, cell) in enumerate(zip(click_xy_px, cell_wh_px, strict=True)):
        places = np.flatnonzero(taken.any(axis=axis))
        reach = PINHOLE_CELLS * cell
        if len(places) and not (places[0] >= at - reach and places[-1] + 1 <= at + reach):
            return False
    return True


def _overlaps(num_cells: int, *, cell_px: float, num_px: int) -> Floats:
    """(num_cells, num_px): the share of each cell that each pixel takes."""
    starts = np.arange(num_cells)[:, None] * cell_px
    pixels = np.arange(num_px)[None, :]
    overlap = np.minimum(starts + cell_px, pixels + 1.0) - np.maximum(starts, pixels)
    return np.asarray(np.clip(overlap, 0.0, None) / cell_px, dtype=np.float32)
