"""The two-way transformer: prompt tokens read the image and the image reads them back.

Layer names follow the official checkpoints; the decoder around it is in `mask_decoder`.
"""

from __future__ import annotations

from torch import Tensor, nn

from sam.layers import MLPBlock


class Attention(nn.Module):
    """Multi-head attention whose inner width may be smaller than its input's."""

    def __init__(self, dim: int, *, num_heads: int, downsample: int = 1) -> None:
        super().__init__()
        inner_dim = dim // downsample
        if inner_dim % num_heads:
            raise ValueError(f"{num_heads} heads do not divide an inner width of {inner_dim}")
        self.num_heads = num_heads
        self.q_proj = nn.Linear(dim, inner_dim)
        self.k_proj = nn.Linear(dim, inner_dim)
        self.v_proj = nn.Linear(dim, inner_dim)
        self.out_proj = nn.Linear(inner_dim, dim)

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Attend from q (N, Lq, C) to k, v (N or 1, Lk, C); a batch of 1 serves every row."""
        query = self._heads(self.q_proj(q))
        key = self._heads(self.k_proj(k))
        value = self._heads(self.v_proj(v))
        if key.shape[0] != query.shape[0]:
            batch = max(key.shape[0], query.shape[0])
            query, key, value = (x.expand(batch, -1, -1, -1) for x in (query, key, value))
        # Written out: with a dozen tokens and narrow heads the fused CPU kernel is twice as slow.
        weights = (query * query.shape[-1] ** -0.5) @ key.transpose(-2, -1)
        mixed = weights.softmax(dim=-1).to(value.dtype) @ value
        out: Tensor = self.out_proj(mixed.transpose(1, 2).flatten(2))
        return out

    def _heads(self, x: Tensor) -> Tensor:
        N, L, C = x.shape
        return x.reshape(N, L, self.num_heads, C // self.num_heads).transpose(1, 2)


class TwoWayAttentionBlock(nn.Module):
    """Self-attention of tokens, tokens to image, token MLP, image to tokens."""

    def __init__(
        self, dim: int, *, num_heads: int, mlp_dim: int, downsample: int, is_first: bool
    ) -> None:
        super().__init__()
        self.self_attn = Attention(dim, num_heads=num_heads)
        self.norm1 = nn.LayerNorm(dim)
        self.cross_attn_token_to_image = Attention(dim, num_heads=num_heads, downsample=downsample)
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = MLPBlock(dim, mlp_dim, activation=nn.ReLU())
        self.norm3 = nn.LayerNorm(dim)
        self.norm4 = nn.LayerNorm(dim)
        self.cross_attn_image_to_token = Attention(dim, num_heads=num_heads, downsample=downsample)
        self.is_first = is_first

    def forward(
        self, tokens: Tensor, image: Tensor, token_pe: Tensor, image_pe: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Update tokens (N, T, C) and image (N or 1, HW, C)."""
        if self.is_first:  # no positions and no residual here, as the official weights expect
            tokens = self.self_attn(tokens, tokens, tokens)
        else:
            q = tokens + token_pe
            tokens = tokens + self.self_attn(q, q, tokens)
        tokens = self.norm1(tokens)
        image_q = image + image_pe
        tokens = tokens + self.cross_attn_token_to_image(tokens + token_pe, image_q, image)
        tokens = self.norm2(tokens)
        tokens = self.norm3(tokens + self.mlp(tokens))
        image = image + self.cross_attn_image_to_token(image_q, tokens + token_pe, tokens)
        return tokens, self.norm4(image)


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
        self.final_attn_token_to_image = Attention(dim, num_heads=num_heads, downsample=downsample)
        self.norm_final_attn = nn.LayerNorm(dim)

    def forward(self, image: Tensor, image_pe: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Return updated tokens (N, T, C) and image (N, HW, C).

        image: (N or 1, HW, C). A batch of 1 is projected once for all N prompts and becomes N
        only where the first block writes the prompts into it.
        """
        token_pe = tokens
        for layer in self.layers:
            tokens, image = layer(tokens, image, token_pe, image_pe)
        read = self.final_attn_token_to_image(tokens + token_pe, image + image_pe, image)
        return self.norm_final_attn(tokens + read), image
