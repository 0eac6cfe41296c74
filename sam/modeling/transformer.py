"""The two-way transformer: prompt tokens read the image and the image reads them back.

Layer names follow the official checkpoints; the decoder around it is in `mask_decoder`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import cast

from torch import Tensor, nn

from sam.modeling.attention import Attention, ImageReadsTokens, ImageTokens, TokensReadImage
from sam.modeling.layers import MLPBlock


class TwoWayAttentionBlock(nn.Module):
    """Self-attention of tokens, tokens to image, token MLP, image to tokens."""

    def __init__(
        self, dim: int, *, num_heads: int, mlp_dim: int, downsample: int, is_first: bool
    ) -> None:
        super().__init__()
        self.self_attn = Attention(dim, num_heads=num_heads)
        self.norm1 = nn.LayerNorm(dim)
        self.cross_attn_token_to_image = TokensReadImage(
            dim, num_heads=num_heads, downsample=downsample
        )
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = MLPBlock(dim, mlp_dim, activation=nn.ReLU())
        self.norm3 = nn.LayerNorm(dim)
        self.norm4 = nn.LayerNorm(dim)
        self.cross_attn_image_to_token = ImageReadsTokens(
            dim, num_heads=num_heads, downsample=downsample
        )
        self.is_first = is_first

    def forward(
        self, tokens: Tensor, image: ImageTokens, token_pe: Tensor, image_pe: Tensor
    ) -> tuple[Tensor, ImageTokens]:
        """Update tokens (N, T, C) and image cells (N, HW, C)."""
        if self.is_first:  # no positions and no residual here, as the official weights expect
            tokens = self.self_attn(tokens, tokens, tokens)
        else:
            q = tokens + token_pe
            tokens = tokens + self.self_attn(q, q, tokens)
        tokens = self.norm1(tokens)
        tokens = tokens + self.cross_attn_token_to_image.read(tokens + token_pe, image)
        tokens = self.norm2(tokens)
        tokens = self.norm3(tokens + self.mlp(tokens))
        written = self.cross_attn_image_to_token.write(image, tokens + token_pe, tokens)
        cells = self.norm4(written)
        return tokens, ImageTokens(cells, cells + image_pe)


class TwoWayTransformer(nn.Module):
    """A stack of two-way blocks and a last look of the tokens at the image."""

    def __init__(
        self, dim: int, *, num_layers: int, num_heads: int, mlp_dim: int, downsample: int
    ) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            TwoWayAttentionBlock(
                dim, num_heads=num_heads, mlp_dim=mlp_dim, downsample=downsample, is_first=i == 0
            )
            for i in range(num_layers)
        )
        self.final_attn_token_to_image = TokensReadImage(
            dim, num_heads=num_heads, downsample=downsample
        )
        self.norm_final_attn = nn.LayerNorm(dim)

    def prepare_image(self, image: Tensor, image_pe: Tensor, *, is_shared: bool) -> ImageTokens:
        """Prepare the image (N or 1, HW, C) for the first block.

        is_shared: several prompt sets will use this one image, so project it once for all.
        """
        side = ImageTokens(image, image + image_pe)
        if not is_shared:
            return side
        first = cast(TwoWayAttentionBlock, self.layers[0])
        keys, values = first.cross_attn_token_to_image.share(side)
        queries = first.cross_attn_image_to_token.share(side)
        return replace(side, keys=keys, values=values, queries=queries)

    def forward(
        self, image: ImageTokens, image_pe: Tensor, tokens: Tensor, *, num_read: int
    ) -> tuple[Tensor, Tensor]:
        """Return the first num_read tokens (N, num_read, C) and the image cells (N, HW, C)."""
        token_pe = tokens
        for layer in self.layers:
            tokens, image = layer(tokens, image, token_pe, image_pe)
        last, last_pe = tokens[:, :num_read], token_pe[:, :num_read]
        read = self.final_attn_token_to_image.read(last + last_pe, image)
        return self.norm_final_attn(last + read), image.cells
