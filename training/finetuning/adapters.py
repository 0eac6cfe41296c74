"""Low-rank adapters (LoRA, Hu et al. 2021): teach an encoder by a few numbers, then merge them.

While training, each adapted weight reads as W + scale * B A with W frozen; afterwards it is that
sum, so what serves the model needs none of this.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

_ATTENTION = ("qkv", "q_proj", "k_proj", "v_proj", "proj", "out")


class Adapter(nn.Module):
    """The low-rank change of one weight, of a linear layer or of a convolution."""

    def __init__(
        self, weight: Tensor, *, rank: int, scale: float, generator: torch.Generator
    ) -> None:
        super().__init__()
        num_out, num_in = weight.shape[0], weight[0].numel()
        bound = math.sqrt(3 / num_in)  # unit variance of A x, as for a plain linear layer
        start = (torch.rand(rank, num_in, generator=generator) * 2 - 1) * bound
        self.down = nn.Parameter(start.to(weight.device))
        self.up = nn.Parameter(torch.zeros(num_out, rank, device=weight.device))
        self.scale = scale

    def forward(self, weight: Tensor) -> Tensor:
        """Return the changed weight, in its own shape and float32."""
        with torch.autocast(weight.device.type, enabled=False):
            return weight + self.scale * (self.up @ self.down).view_as(weight)


def adapted_layers(encoder: nn.Module) -> dict[str, nn.Module]:
    """Return the layers that get adapters, by name.

    The projections of attention (as LoRA's authors chose), and every 1x1 convolution, by which a
    pyramid mixes its levels: 3x3 convolutions know edges, 1x1 ones decide what they mean.
    """
    return {
        name: module
        for name, module in encoder.named_modules()
        if (isinstance(module, nn.Linear) and name.rsplit(".", 1)[-1] in _ATTENTION)
        or (isinstance(module, nn.Conv2d) and module.kernel_size == (1, 1))
    }


def attach(encoder: nn.Module, *, rank: int, scale: float, seed: int) -> nn.ModuleList:
    """Freeze the encoder, give its layers adapters that change nothing yet, and return those.

    Raises ValueError for an encoder without such layers.
    """
    encoder.requires_grad_(False)
    layers = adapted_layers(encoder)
    if not layers:
        raise ValueError("this encoder has no attention and no 1x1 convolution to adapt")
    generator = torch.Generator().manual_seed(seed)
    adapters = nn.ModuleList()
    for layer in layers.values():
        weight = layer.get_parameter("weight")
        adapter = Adapter(weight, rank=rank, scale=scale, generator=generator)
        parametrize.register_parametrization(layer, "weight", adapter)
        adapters.append(adapter)
    return adapters


def merge(encoder: nn.Module) -> None:
    """Make every adapted weight plain again: what it reads as becomes what it is."""
    for module in list(encoder.modules()):
        if parametrize.is_parametrized(module, "weight"):
            parametrize.remove_parametrizations(module, "weight", leave_parametrized=True)
            module.get_parameter("weight").requires_grad_(True)
