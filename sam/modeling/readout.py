"""What masks are read out of: the decoder's features at mask resolution.

Reading is one product per mask; to judge a mask (`mask_decoder.IouFromMasks`) is to sum features
under it.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_TAPS = 9


@dataclass(frozen=True, slots=True)
class Readout:
    """Features as they are: (N, F, h, w)."""

    plain: Tensor

    def read(self, weights: Tensor) -> Tensor:
        """Return the logits (N, M, h, w) of weights (N, M, F)."""
        logits = weights @ self.plain.flatten(2)
        return logits.reshape(*weights.shape[:2], *self.plain.shape[-2:])

    def gather(self, inside: Tensor) -> tuple[Tensor, Tensor]:
        """Return the features' sums under masks (N, M, h * w) in [0, 1], and over all cells.

        (N, M, F) and (N, 1, F) in float32, without gradients.
        """
        cells = self.plain.detach().float().flatten(2).transpose(1, 2)
        return inside @ cells, cells.sum(1, keepdim=True)


@dataclass(frozen=True, slots=True)
class ConvReadout:
    """The same with a 3x3 convolution of `before` (N, C, h, w) added to the first C features.

    A handful of masks is read from dozens of features, so the convolution moves to the masks' side
    of both products, as projections do in `sam.attention`: the same sums for a quarter of the work.
    Cells are numbered through in a frame of zeros, where a neighbour is a fixed step away.
    """

    plain: Tensor
    before: Tensor
    conv: nn.Conv2d

    def read(self, weights: Tensor) -> Tensor:
        """Do as `Readout.read`."""
        num, masks, _ = weights.shape
        channels, height, width = self.before.shape[1:]
        own = weights[..., :channels]
        taps = (own @ self.conv.weight.flatten(1)).reshape(num, masks, channels, _TAPS)
        by_tap = taps.permute(0, 3, 1, 2).flatten(1, 2) @ self._framed()
        length = height * (width + 2)
        mixed = (own @ _bias(self.conv)).unsqueeze(-1)
        for tap, step in enumerate(self._steps()):
            rows = slice(tap * masks, (tap + 1) * masks)
            mixed = mixed + by_tap[:, rows, step : step + length]
        mixed = mixed.reshape(num, masks, height, width + 2)[..., :width]
        return Readout(self.plain).read(weights) + mixed

    def gather(self, inside: Tensor) -> tuple[Tensor, Tensor]:
        """Do as `Readout.gather`."""
        num, masks, _ = inside.shape
        channels, height, width = self.before.shape[1:]
        rows = torch.cat([inside, torch.ones_like(inside[:, :1])], dim=1)
        plain = rows @ self.plain.detach().float().flatten(2).transpose(1, 2)
        framed = self._framed().detach().float()
        spread = F.pad(rows.reshape(num, masks + 1, height, width), (0, 2)).flatten(2)
        steps = self._steps()
        spread = F.pad(spread, (steps[-1], framed.shape[-1] - spread.shape[-1]))
        shifted = [spread[..., steps[-1] - step :][..., : framed.shape[-1]] for step in steps]
        by_tap = torch.cat(shifted, dim=1) @ framed.transpose(1, 2)
        by_mask = by_tap.reshape(num, _TAPS, masks + 1, channels).transpose(1, 2).flatten(2)
        weight = self.conv.weight.detach().float()
        mixed = by_mask @ weight.permute(2, 3, 1, 0).flatten(0, 2)
        mixed = mixed + rows.sum(-1, keepdim=True) * _bias(self.conv).detach().float()
        out = torch.cat([plain[..., :channels] + mixed, plain[..., channels:]], dim=-1)
        return out[:, :-1], out[:, -1:]

    def _framed(self) -> Tensor:
        """Return `before` with zeros around it, flat; one row more, for the last steps' ends."""
        return F.pad(self.before, (1, 1, 1, 2)).flatten(2)

    def _steps(self) -> list[int]:
        width = self.before.shape[-1] + 2
        return [down * width + right for down in range(3) for right in range(3)]


def _bias(conv: nn.Conv2d) -> Tensor:
    if conv.bias is None:
        raise ValueError("the mix has a bias")
    return conv.bias
