"""Give a trained starter the prompt maps that were invented after it, as the preset has them."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor

from sam.checkpoints.checkpoint_files import CheckpointError
from sam.modeling.config import SamConfig
from sam.modeling.mask_decoder import NUM_MASKS
from sam.modeling.model import Sam
from sam.modeling.prompt_maps import map_offset, num_map_channels
from sam.prompting.selection import SINGLE_MASK

ELLIPSE_LOGITS = 2.0
"""What the middle of a box adds to the single mask at first: on photos and nuclei it gained 0.02
IoU without any training."""


MASK_LOGITS = 2.0
"""What the mask to refine adds to the single mask at first, at its surest: a faint copy."""
_FIRST_LOGITS = {"oval": ELLIPSE_LOGITS, "mask": MASK_LOGITS}


@torch.no_grad()
def widened(start: Sam, config: SamConfig) -> dict[str, Tensor]:
    """Return the start's tensors with channels for the new maps of `config`, which count nothing.

    But for the oval and the mask to refine, which start as faint guesses of the single mask. New
    maps follow the known ones. Raises CheckpointError when they do not.
    """
    known, wanted = start.config.decoder.prompt_maps, config.decoder.prompt_maps
    if wanted[: len(known)] != known:
        raise CheckpointError(f"the start has maps {known}, which do not begin {wanted}")
    num_new = num_map_channels(wanted) - num_map_channels(known)
    tensors = start.state_dict()
    if not num_new:
        return tensors
    tensors |= _widened(
        tensors,
        num_new=num_new,
        embed=config.embed_channels,
        num_upscaled=config.decoder.upscale_channels[-1],
        num_known=num_map_channels(known),
    )
    last = f"mask_decoder.output_hypernetworks_mlps.{SINGLE_MASK}.layers.2.bias"
    for name in wanted[len(known) :]:
        if name in _FIRST_LOGITS:
            row = config.decoder.upscale_channels[-1] + map_offset(wanted, name)
            tensors[last][row] = _FIRST_LOGITS[name]
    return tensors


def _widened(
    tensors: dict[str, Tensor], *, num_new: int, embed: int, num_upscaled: int, num_known: int
) -> dict[str, Tensor]:
    """Add channels of zeros to all that reads maps."""
    fine = num_upscaled + num_known
    places = {
        "mask_decoder.high_res_mix.from_maps.weight": (1, [num_known]),
        # tokens (2 C), means inside (F) and outside (F) of the mask, figures
        "mask_decoder.iou_from_masks.mlp.layers.0.weight": (
            1,
            [2 * embed + fine, 2 * embed + 2 * fine],
        ),
    }
    for index in range(NUM_MASKS):
        for name in ("weight", "bias"):
            key = f"mask_decoder.output_hypernetworks_mlps.{index}.layers.2.{name}"
            places[key] = (0, [fine])
    return {
        key: _with_zeros(tensors[key], axis=axis, places=before, num_new=num_new)
        for key, (axis, before) in places.items()
    }


def _with_zeros(tensor: Tensor, *, axis: int, places: list[int], num_new: int) -> Tensor:
    """Insert num_new zeros along an axis before each of the places, which rise."""
    bounds = [0, *places, tensor.shape[axis]]
    shape = list(tensor.shape)
    shape[axis] = num_new
    parts: list[Tensor] = []
    for low, high in itertools.pairwise(bounds):
        parts += [tensor.narrow(axis, low, high - low), tensor.new_zeros(shape)]
    return torch.cat(parts[:-1], dim=axis)
