"""How much a mask differs in colour from what lies around it.

A model asked about plain ground answers all the same; what it draws there is told from an object by
the image itself: its mean colour is that of the ring around it.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

_GAP_CELLS, _RING_CELLS = 1, 3
"""The ring begins so many cells outside the mask, past its mixed edge, and ends here."""


class Surroundings:
    """The mean colour of each mask cell of one image."""

    def __init__(self, colours_3hw: Tensor, *, is_image_hw: Tensor) -> None:
        """Take colours of cells in levels of 255, and which cells hold the image."""
        self._colours = colours_3hw.flatten(1).t()  # (h * w, 3)
        self._is_image = is_image_hw

    @classmethod
    def of(
        cls, pixels_3ss: Tensor, *, input_hw: tuple[int, int], low_res_size: int
    ) -> Surroundings:
        """Average pixels, (3, S, S) in levels of 255, over cells; the padding is no image."""
        stride = pixels_3ss.shape[-1] // low_res_size
        side = torch.arange(low_res_size, device=pixels_3ss.device) * stride
        is_image = (side < input_hw[0])[:, None] & (side < input_hw[1])
        return cls(F.avg_pool2d(pixels_3ss, stride), is_image_hw=is_image)

    def contrast(self, masks_nhw: Tensor) -> Tensor:
        """Return the largest difference of mean colours in any channel, in levels of 255: (n,).

        A mask without a ring, as one of the whole image, differs without limit.
        """
        inside = (masks_nhw & self._is_image).float()
        wide = _grown(inside, _RING_CELLS) > _grown(inside, _GAP_CELLS)
        ring = (wide & self._is_image).float()
        num_ring = ring.sum((1, 2))
        difference = (self._mean(inside) - self._mean(ring)).abs().amax(1)
        return torch.where(num_ring > 0, difference, torch.inf)

    def _mean(self, weights_nhw: Tensor) -> Tensor:
        flat = weights_nhw.flatten(1)
        return (flat @ self._colours) / flat.sum(1, keepdim=True).clamp(min=1.0)


def _grown(masks_nhw: Tensor, cells: int) -> Tensor:
    return F.max_pool2d(masks_nhw.unsqueeze(1), 2 * cells + 1, stride=1, padding=cells).squeeze(1)
