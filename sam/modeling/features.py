"""What an image encoder hands to the decoder.

Only the container lives here; encoders make it, `embeddings` stores it.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True, slots=True)
class ImageFeatures:
    """Encoder outputs of B images.

    image_embeddings: (B, C, S/16, S/16).
    high_res_features: (B, Ch, S/4, S/4), or None for the official models.
    """

    image_embeddings: Tensor
    high_res_features: Tensor | None = None

    def image(self, index: int) -> ImageFeatures:
        """Return the features of one image, still with a batch axis of 1."""
        return self.images(slice(index, index + 1))

    def images(self, chosen: Tensor | slice) -> ImageFeatures:
        """Return the features of several images, one or more times each: indices or a slice."""
        high = self.high_res_features
        return ImageFeatures(self.image_embeddings[chosen], None if high is None else high[chosen])

    def coarse(self) -> ImageFeatures:
        """Return the features with half as many high-resolution rows and columns, averaged.

        The decoder answers with masks of stride 8: nearly the same ones for a third of the work.
        """
        high = self.high_res_features
        return self if high is None else ImageFeatures(self.image_embeddings, F.avg_pool2d(high, 2))

    def to(
        self, *, device: torch.device | str | None = None, dtype: torch.dtype | None = None
    ) -> ImageFeatures:
        """Move or convert both tensors."""
        high = self.high_res_features
        return ImageFeatures(
            self.image_embeddings.to(device=device, dtype=dtype),
            None if high is None else high.to(device=device, dtype=dtype),
        )

    def detach(self) -> ImageFeatures:
        """Cut the gradient to the encoder."""
        high = self.high_res_features
        return ImageFeatures(
            self.image_embeddings.detach(), None if high is None else high.detach()
        )
