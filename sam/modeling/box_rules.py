"""What a box says about its masks, whatever the network thinks: rules without weights."""

from __future__ import annotations

import torch
from torch import Tensor

from sam.modeling.prompt_encoder import boxes_of
from sam.prompts import BOX_LABELS, Prompts

EDGE_SLOPE = 4.0
"""Logits a mask may gain per cell on its way from the edge of its box inwards."""
NARROW_CELLS = 3.0
NARROW_MARGIN = 0.5
"""Cells of margin for each cell that a box is narrower than NARROW_CELLS."""
BLIND_CELLS, SEEING_CELLS = 2.0, 4.0
"""Boxes up to so many cells wide or high hide their object from a stride-4 map: the oval answers.
Between the two, both do in turn. Measured on nuclei of 7 to 15 px: 0.72 to 0.78 IoU."""
MIN_HALF_AXIS_CELLS = 0.75
"""Half axes of the oval at least, or it would fall between the centres of cells."""
BOX_GAIN = 0.5
"""Added to the logits of a box without clicks: a tight box is filled further than logit 0 says.
The focal loss weighs background three times, and IoU is highest when cut below even odds anyway.
Chosen on nuclei-extra (box 0.834 to 0.843) and photos-train (best at 0.5 to 0.8); photos-dev 0.762
to 0.777. Clicks gain nothing."""
_UNBOUNDED = 1e4


def box_bounds(prompts: Prompts, *, size: int, image_size_px: int) -> Tensor:
    """Return what logits may not exceed (N, S/4, S/4), so that a mask ends where its box does.

    The bound is zero on the box's edges and falls by EDGE_SLOPE a cell beyond them, so upscaled
    masks end there to a fraction of a cell. Boxes under NARROW_CELLS get a margin, or no cell
    would be left to hold their mask. A foreground click outside the box lifts it: the box was
    drawn too small. Boxes end as people draw them: at x0 + width.
    """
    coords, labels = prompts.point_coords, prompts.point_labels
    cell_px = image_size_px / size
    centres = cell_centres(size, cell_px, coords)
    x0, y0, x1, y1 = (side.unsqueeze(-1) for side in boxes_of(coords, labels).unbind(-1))
    in_x = _depth(centres, x0, x1, cell_px)
    in_y = _depth(centres, y0, y1, cell_px)
    depth = torch.minimum(in_y.unsqueeze(2), in_x.unsqueeze(1))
    x, y = coords.unbind(-1)
    is_outside = (x < x0) | (x > x1) | (y < y0) | (y > y1)
    is_lifted = ((labels == 1) & is_outside).any(1)
    is_bounded = (labels == BOX_LABELS[0]).any(1) & ~is_lifted
    free = torch.full_like(depth, _UNBOUNDED)
    return torch.where(is_bounded[:, None, None], EDGE_SLOPE * depth, free)


def narrow_ellipses(prompts: Prompts, *, size: int, image_size_px: int) -> tuple[Tensor, Tensor]:
    """Return the logits of the ellipse in each box (N, S/4, S/4), and its share (N,).

    Logits are the distance to the ellipse in cells, measured along its narrower axis, times
    EDGE_SLOPE. The share is 0 for boxes of SEEING_CELLS and more, and where there is a click:
    who clicks wants something else than what the box gave.
    """
    coords, labels = prompts.point_coords, prompts.point_labels
    cell_px = image_size_px / size
    centres = cell_centres(size, cell_px, coords) / cell_px
    x0, y0, x1, y1 = (boxes_of(coords, labels) / cell_px).unbind(-1)
    half_x = (0.5 * (x1 - x0)).clamp(min=MIN_HALF_AXIS_CELLS)
    half_y = (0.5 * (y1 - y0)).clamp(min=MIN_HALF_AXIS_CELLS)
    off_x = (centres - 0.5 * (x0 + x1).unsqueeze(-1)) / half_x.unsqueeze(-1)
    off_y = (centres - 0.5 * (y0 + y1).unsqueeze(-1)) / half_y.unsqueeze(-1)
    radius = (off_y.square().unsqueeze(2) + off_x.square().unsqueeze(1)).sqrt()
    axis = torch.minimum(half_x, half_y)[:, None, None]
    side = torch.minimum(x1 - x0, y1 - y0)
    share = ((SEEING_CELLS - side) / (SEEING_CELLS - BLIND_CELLS)).clamp(0.0, 1.0)
    return EDGE_SLOPE * axis * (1.0 - radius), share * _is_box_alone(labels)


def box_gains(labels: Tensor) -> Tensor:
    """Return what the logits of each prompt set gain before they are bounded (N,)."""
    return BOX_GAIN * _is_box_alone(labels)


def _is_box_alone(labels: Tensor) -> Tensor:
    return (labels == BOX_LABELS[0]).any(1) & ~((labels == 0) | (labels == 1)).any(1)


def cell_centres(size: int, cell_px: float, like: Tensor) -> Tensor:
    """Return the centres of a row of cells, in model pixels, where `like` is."""
    return (torch.arange(size, device=like.device, dtype=torch.float32) + 0.5) * cell_px


def _depth(centres: Tensor, low: Tensor, high: Tensor, cell_px: float) -> Tensor:
    """Return how many cells each centre lies inside of (N, 1) edges, negative outside."""
    margin = (NARROW_MARGIN * (NARROW_CELLS - (high - low) / cell_px)).clamp(min=0.0)
    return torch.minimum(centres - low, high - centres) / cell_px + margin
