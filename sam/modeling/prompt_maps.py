"""Dense maps of one prompt set at mask resolution, for the starter's non-linear mix.

Every map is built from operations that export to ONNX with any number of points.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from sam.modeling.box_rules import cell_centres
from sam.modeling.click_maps import ClickMaps
from sam.modeling.features import ImageFeatures
from sam.modeling.prompt_encoder import boxes_of, sample_at
from sam.prompts import BOX_LABELS, Prompts

NUM_CHANNELS = {
    "nearness": 2,
    "box": 1,
    "similarity": 2,
    "candidates": ClickMaps.num_channels,
    "oval": 1,
    "mask": 1,
}
_FAR_PX2 = 1e6


def num_map_channels(names: Sequence[str]) -> int:
    """Count the channels prompt_maps makes for these names."""
    return sum(NUM_CHANNELS[name] for name in names)


def map_offset(names: Sequence[str], wanted: str) -> int:
    """Return the first of the channels that `wanted` has among these names."""
    return num_map_channels(names[: list(names).index(wanted)])


def prompt_maps(
    names: Sequence[str],
    prompts: Prompts,
    features: ImageFeatures,
    *,
    image_size_px: int,
    sigma_px: float,
    click_maps: ClickMaps | None = None,
) -> Tensor:
    """Return (N, channels, S/4, S/4) with values in [-1, 1]; 0 where a prompt kind is absent.

    click_maps: the learned part, needed for "candidates".
    """
    high_res = features.high_res_features
    if high_res is None:
        raise ValueError("prompt maps need high-resolution features")
    if prompts.point_coords.shape[1] == 0:  # a mask alone: maps reduce over points, so pad
        prompts = prompts.padded()
    size = high_res.shape[-1]
    maps: list[Tensor] = []
    for name in names:
        if name == "nearness":
            maps.append(_nearness(prompts, size, image_size_px / size, sigma_px))
        elif name == "box":
            maps.append(_inside_box(prompts, size, image_size_px / size))
        elif name == "candidates":
            if click_maps is None:
                raise ValueError("candidate maps need the click maps' weights")
            maps.append(click_maps(prompts, features))
        elif name == "oval":
            maps.append(_ellipse_in_box(prompts, size, image_size_px / size))
        elif name == "mask":
            maps.append(_input_mask(prompts, size))
        else:
            maps.append(_similarity(prompts, high_res, image_size_px))
    return torch.cat(maps, dim=1)


def _nearness(prompts: Prompts, size: int, cell_px: float, sigma_px: float) -> Tensor:
    centres = cell_centres(size, cell_px, prompts.point_coords)
    offsets = (prompts.point_coords + 0.5).unsqueeze(-1) - centres  # (N, P, 2, size)
    squared = offsets.square()
    channels = []
    for label in (1, 0):
        absent = (prompts.point_labels != label).unsqueeze(-1) * _FAR_PX2
        column = squared[:, :, 1] + absent
        distance = (squared[:, :, 0].unsqueeze(2) + column.unsqueeze(3)).amin(1)
        channels.append(torch.exp(distance * (-0.5 / sigma_px**2)))
    return torch.stack(channels, dim=1)


def _inside_box(prompts: Prompts, size: int, cell_px: float) -> Tensor:
    centres = cell_centres(size, cell_px, prompts.point_coords)
    x0, y0, x1, y1 = (boxes_of(prompts.point_coords, prompts.point_labels) + 0.5).unbind(-1)
    in_x = _between(centres, x0, x1)
    in_y = _between(centres, y0, y1)
    return (in_y.unsqueeze(2) * in_x.unsqueeze(1)).unsqueeze(1)


def _ellipse_in_box(prompts: Prompts, size: int, cell_px: float) -> Tensor:
    """Fall from 1 in the middle of the box over 0 on the ellipse that touches its sides to -1.

    Boxes are drawn tight around objects, and an ellipse is the shape to expect in one: measured on
    images and nuclei it agrees better with their masks than the filled box.
    """
    centres = cell_centres(size, cell_px, prompts.point_coords)
    x0, y0, x1, y1 = boxes_of(prompts.point_coords, prompts.point_labels).unbind(-1)
    in_x, in_y = (_squared_off(centres, *side, cell_px) for side in ((x0, x1), (y0, y1)))
    ellipse = (1.0 - in_y.unsqueeze(2) - in_x.unsqueeze(1)).clamp(min=-1.0)
    has_box = (prompts.point_labels == BOX_LABELS[0]).any(1)
    return (ellipse * has_box[:, None, None]).unsqueeze(1)


def _input_mask(prompts: Prompts, size: int) -> Tensor:
    """Return the mask to refine at full mask resolution; the dense prompt holds it at stride 16."""
    logits = prompts.low_res_logits
    if logits is None:
        return prompts.point_coords.new_zeros(len(prompts), 1, size, size)
    squashed = torch.tanh(logits * 0.25)
    if prompts.has_mask is None:
        return squashed
    return squashed * prompts.has_mask.reshape(-1, 1, 1, 1)


def _squared_off(centres: Tensor, low: Tensor, high: Tensor, cell_px: float) -> Tensor:
    """Return squared distances from the middle of two edges (N,), the edges at 1: (N, size)."""
    half = (0.5 * (high - low)).clamp(min=0.5 * cell_px).unsqueeze(-1)
    return ((centres - 0.5 * (low + high).unsqueeze(-1)) / half).square()


def _between(centres: Tensor, low: Tensor, high: Tensor) -> Tensor:
    low, high = low.unsqueeze(-1), high.unsqueeze(-1)
    inside = (centres >= low) & (centres <= high)
    return (inside & (high > low)).to(torch.float32)


def _similarity(prompts: Prompts, high_res: Tensor, image_size_px: int) -> Tensor:
    unit_map = F.normalize(high_res.float(), dim=1)
    clicked = sample_at(unit_map, prompts.point_coords, image_size_px)
    cosine = F.normalize(clicked, dim=-1) @ unit_map.flatten(2)  # (N, P, h * w)
    channels = []
    for label in (1, 0):
        is_label = (prompts.point_labels == label).unsqueeze(-1)
        best = cosine.masked_fill(~is_label, -1.0).amax(1)
        channels.append(best * is_label.any(1))
    height, width = high_res.shape[-2:]
    return torch.stack(channels, dim=1).reshape(-1, 2, height, width)
