"""What clicks alone say about masks, whatever the network thinks: rules without weights."""

from __future__ import annotations

import torch
from torch import Tensor

from sam.modeling.box_rules import EDGE_SLOPE, cell_centres
from sam.prompts import BOX_LABELS, Prompts

HOLE_CELLS = 0.68
"""Half the side of the hole around a background click, in cells of the mask's map.

An image pixel mixes the logits of the cells around it, and the mix of a bound that rises evenly is
below zero while those cells lie, on the weighted average, less than this from the click: 0.62 at
most, measured over images of all shapes of which no pixel is enlarged, and of those whose clicks
mean the middle of a pixel (`Frame.clicks_to_model`). With 1 instead, photos-dev loses 0.007 at five
clicks and 0.012 at nine: holes bite into objects beside them. With this, nothing.
"""
EMPTY_LOGIT = -10.0
"""What the logits of a prompt set are at most that names no object."""
_FAR_CELLS = 1e4


def background_bounds(prompts: Prompts, *, size: int, image_size_px: int) -> Tensor:
    """Return what logits may not exceed (N, size, size), so that no mask holds a background click.

    The bound is zero HOLE_CELLS from the click, in rows or in columns, and rises by EDGE_SLOPE a
    cell.
    """
    cell_px = image_size_px / size
    centres = cell_centres(size, cell_px, prompts.point_coords)
    offsets = (prompts.point_coords.unsqueeze(-1) - centres).abs() / cell_px  # (N, P, 2, size)
    absent = (prompts.point_labels != 0).unsqueeze(-1) * _FAR_CELLS
    across, down = offsets[:, :, 0] + absent, offsets[:, :, 1]
    distance = torch.maximum(down.unsqueeze(3), across.unsqueeze(2)).amin(1)
    return EDGE_SLOPE * (distance - HOLE_CELLS)


def names_an_object(prompts: Prompts) -> Tensor:
    """Say which prompt sets have a foreground click, a box or a mask (N,): what to take away from.

    Asked with background clicks alone, the network selects about everything, the clicks too.
    """
    labels = prompts.point_labels
    named = ((labels == 1) | (labels == BOX_LABELS[0])).any(1)
    if prompts.low_res_logits is None:
        return named
    if prompts.has_mask is None:
        return torch.ones_like(named)
    return named | (prompts.has_mask > 0)
