"""Small layers shared by encoder, prompt encoder and decoder.

Parameter names follow the official checkpoints.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sam.tracing import is_tracing


def is_cpu_inference(x: Tensor) -> bool:
    """Say whether x is worked on in a CPU's cache, with nothing kept for gradients or export."""
    return x.device.type == "cpu" and not torch.is_grad_enabled() and not is_tracing()


def gelu(x: Tensor, *, is_rough: bool = False) -> Tensor:
    """Apply GELU to a large map, in place where no gradient needs the input.

    is_rough: exports take the tanh form. It is within 5e-4 and costs a browser half of the time.
    """
    if is_tracing():
        return F.gelu(x, approximate="tanh" if is_rough else "none")
    if torch.is_grad_enabled():
        return F.gelu(x)
    out: Tensor = torch.ops.aten.gelu_(x)
    return out


class LayerNorm2d(nn.Module):
    """Layer norm over the channels of (B, C, H, W)."""

    def __init__(self, channels: int, *, eps: float = 1e-6) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        if is_tracing():  # exported: plain sums cost less than two transposes of the map
            centred = x - x.mean(1, keepdim=True)
            scale = (centred.square().mean(1, keepdim=True) + self.eps).sqrt()
            return centred / scale * self.weight[:, None, None] + self.bias[:, None, None]
        return self.last(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)

    def last(self, x: Tensor) -> Tensor:
        """Do the same on (..., C): one fused kernel, in float32 under autocast."""
        return F.layer_norm(x, self.weight.shape, self.weight, self.bias, self.eps)


class MLPBlock(nn.Module):
    """Two linear layers with an activation between."""

    def __init__(self, dim: int, hidden_dim: int, *, activation: nn.Module) -> None:
        super().__init__()
        self.lin1 = nn.Linear(dim, hidden_dim)
        self.lin2 = nn.Linear(hidden_dim, dim)
        self.act = activation

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.lin2(self.act(self.lin1(x)))
        return out


class MLP(nn.Module):
    """A stack of linear layers with ReLU between."""

    def __init__(self, dims: Sequence[int]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(dims))

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers[:-1]:
            x = F.relu(layer(x))
        out: Tensor = self.layers[-1](x)
        return out
