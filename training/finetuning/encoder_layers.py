"""What a recipe does to the image encoder's layers: smaller steps for early ones, drop path.

Works on the encoders of `sam` from outside: by parameter names and forward hooks.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from sam.modeling.encoders.efficientnet import InvertedResidual
from sam.modeling.encoders.pyramid import GlobalBlock, ResidualBlock
from sam.modeling.encoders.vit import EncoderBlock

_LAYER = re.compile(r"(?:blocks|stages|trunk\.blocks)\.(\d+)\.")
_FIRST = ("patch_embed.", "pos_embed", "stem.", "trunk.stem.")
_BRANCHES: dict[type[nn.Module], tuple[str, ...]] = {
    EncoderBlock: ("attn", "mlp"),
    GlobalBlock: ("out", "mlp"),
    ResidualBlock: ("conv2",),
    InvertedResidual: ("project",),
}
"""The modules whose output is added to a residual stream, by block."""


def learning_rate_shares(encoder: nn.Module, *, decay: float) -> dict[str, float]:
    """Return each encoder parameter's share of the encoder's learning rate.

    As in ViTDet, which the paper trains like: what comes after the blocks has 1, the last block
    decay, the one before decay^2, and so on; patches and positions decay^(blocks + 1). The stages
    of a residual pyramid count as blocks.
    """
    names = [name for name, _ in encoder.named_parameters()]
    layers = [_layer(name) for name in names]
    top = 1 + max((layer for layer in layers if layer is not None), default=0)
    return {
        name: float(decay ** (0 if layer is None else top - layer))
        for name, layer in zip(names, layers, strict=True)
    }


def _layer(name: str) -> int | None:
    """Return 0 for what comes first, 1 and up for blocks, None for what comes after them."""
    found = _LAYER.match(name)
    if found is not None:
        return int(found[1]) + 1
    return 0 if name.startswith(_FIRST) else None


def residual_branches(encoder: nn.Module) -> list[list[nn.Module]]:
    """Return the residual branches of each block, in the order of the forward pass."""
    found = []
    for block in encoder.modules():
        names = _BRANCHES.get(type(block))
        if names is not None and getattr(block, "is_residual", True):
            found.append([block.get_submodule(name) for name in names])
    return found


def drop_rates(num_blocks: int, *, last: float) -> list[float]:
    """Return each block's drop rate, rising linearly from 0 to `last` (stochastic depth)."""
    return [last * index / max(1, num_blocks - 1) for index in range(num_blocks)]


@contextmanager
def drop_path(encoder: nn.Module, *, rate: float, generator: torch.Generator) -> Iterator[None]:
    """Within the context, skip residual branches at random, per image of a batch.

    What stays is scaled up by 1 / (1 - rate), so that the mean is what it was.
    """
    if rate == 0:
        yield
        return
    branches = residual_branches(encoder)
    batch = _BatchSize()
    handles = [encoder.register_forward_pre_hook(batch)]
    for modules, block_rate in zip(branches, drop_rates(len(branches), last=rate), strict=True):
        if block_rate:
            hook = _Drop(block_rate, batch=batch, generator=generator)
            handles += [module.register_forward_hook(hook) for module in modules]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


class _BatchSize:
    """Remembers how many images the encoder was given: windows hide it from attention."""

    value = 1

    def __call__(self, module: nn.Module, arguments: tuple[Any, ...]) -> None:
        self.value = len(arguments[0])


class _Drop:
    def __init__(self, rate: float, *, batch: _BatchSize, generator: torch.Generator) -> None:
        self.rate = rate
        self.batch = batch
        self.generator = generator

    def __call__(self, module: nn.Module, arguments: tuple[Any, ...], output: Tensor) -> Tensor:
        num = self.batch.value
        stays = torch.rand(num, generator=self.generator) >= self.rate
        scale = (stays / (1 - self.rate)).to(device=output.device, dtype=output.dtype)
        rows = scale.repeat_interleave(len(output) // num)  # an image's windows lie together
        return output * rows.reshape(-1, *[1] * (output.ndim - 1))
