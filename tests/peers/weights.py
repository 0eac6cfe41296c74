"""Random weights under which two implementations can be told apart.

Everything is drawn, also what starts at zero or one; activations stay near unit size throughout.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

_LEARNED_VECTORS = (
    "prompt_encoder.pe_layer.",
    "prompt_encoder.point_embeddings.",
    "prompt_encoder.not_a_point_embed.",
    "prompt_encoder.no_mask_embed.",
    "mask_decoder.iou_token.",
    "mask_decoder.mask_tokens.",
)


def draw(shapes: Mapping[str, Tensor], *, seed: int = 0) -> dict[str, Tensor]:
    """Draw a float32 CPU tensor for every entry of an official-layout state_dict.

    Only names and shapes are read, so that the state_dict may be on the meta device.
    """
    generator = torch.Generator().manual_seed(seed)
    return {name: _draw(name, tuple(t.shape), generator) for name, t in shapes.items()}


def give(model: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Let a model, also one on the meta device, use these very tensors: no copy is made.

    A ViT-L is 1.25 GB; three implementations with the same weights need it once.
    """
    model.load_state_dict(dict(weights), strict=True, assign=True)
    model.requires_grad_(False).eval()


def _draw(name: str, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    noise = torch.randn(shape, generator=generator)
    if name.startswith(_LEARNED_VECTORS):
        return noise
    if name.endswith("pos_embed"):
        return noise.mul_(0.5)
    if "rel_pos" in name:
        return noise.mul_(0.2)
    if name.endswith("bias"):
        return noise.mul_(0.1)
    if len(shape) == 1:  # the weight of a normalisation
        return noise.mul_(0.1).add_(1.0)
    # The output of a transposed convolution of stride = kernel sums over its input channels only.
    is_transposed = "output_upscaling" in name
    fan_in = shape[0] if is_transposed else math.prod(shape[1:])
    # Logits of a few units, as trained models give, so that an absolute tolerance means something.
    gain = 5.0 if "hypernetworks" in name and ".layers.2." in name else 1.0
    return noise.mul_(gain * fan_in**-0.5)
