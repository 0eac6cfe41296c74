"""The official image encoder: a ViT with windowed attention and decomposed relative positions.

Parameter names and shapes follow the official checkpoints (segment-anything image_encoder.py).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sam.config import VitConfig
from sam.features import ImageFeatures
from sam.layers import LayerNorm2d, MLPBlock


class PatchEmbed(nn.Module):
    """Cut the image into patches and project each."""

    def __init__(self, patch_size_px: int, embed_dim: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, embed_dim, kernel_size=patch_size_px, stride=patch_size_px)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, S, S) to channels-last (B, h, w, D)."""
        out: Tensor = self.proj(x)
        return out.permute(0, 2, 3, 1)


class ImageAttention(nn.Module):
    """Self-attention over a map of tokens with relative positions along each axis."""

    def __init__(self, dim: int, *, num_heads: int, size: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)
        head_dim = dim // num_heads
        self.rel_pos_h = nn.Parameter(torch.zeros(2 * size - 1, head_dim))
        self.rel_pos_w = nn.Parameter(torch.zeros(2 * size - 1, head_dim))

    def forward(self, x: Tensor) -> Tensor:
        """(B, h, w, D) to the same shape."""
        B, H, W, _ = x.shape
        qkv = self.qkv(x).reshape(B, H * W, 3, self.num_heads, -1)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)  # each (B, heads, H * W, head_dim)
        bias = self._position_bias(q.reshape(B, self.num_heads, H, W, -1))
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=bias.to(q.dtype))
        out: Tensor = self.proj(mixed.transpose(1, 2).reshape(B, H, W, -1))
        return out

    def _position_bias(self, q: Tensor) -> Tensor:
        _, _, H, W, _ = q.shape
        rows = relative_positions(self.rel_pos_h, H)
        columns = relative_positions(self.rel_pos_w, W)
        by_row = torch.einsum("bnhwc,hkc->bnhwk", q, rows)
        by_column = torch.einsum("bnhwc,wkc->bnhwk", q, columns)
        bias = by_row.unsqueeze(-1) + by_column.unsqueeze(-2)  # (B, heads, H, W, H, W)
        return bias.reshape(*q.shape[:2], H * W, H * W)


def relative_positions(table: Tensor, size: int) -> Tensor:
    """Look up a (2 * S - 1, C) table for every query and key row: (size, size, C).

    A table made for another size is interpolated linearly, as in the reference.
    """
    length = 2 * size - 1
    if table.shape[0] != length:
        resized = F.interpolate(table.t().unsqueeze(0), size=length, mode="linear")
        table = resized.squeeze(0).t()
    index = torch.arange(size, device=table.device)
    return table[index[:, None] - index[None, :] + (size - 1)]


class EncoderBlock(nn.Module):
    """Pre-norm attention and MLP; window_size 0 means attention over the whole map."""

    def __init__(self, config: VitConfig, *, window_size: int, grid_size: int) -> None:
        super().__init__()
        dim = config.embed_dim
        self.norm1 = nn.LayerNorm(dim, eps=1e-6)
        self.attn = ImageAttention(dim, num_heads=config.num_heads, size=window_size or grid_size)
        self.norm2 = nn.LayerNorm(dim, eps=1e-6)
        self.mlp = MLPBlock(dim, int(dim * config.mlp_ratio), activation=nn.GELU())
        self.window_size = window_size

    def forward(self, x: Tensor) -> Tensor:
        """(B, h, w, D) to the same shape."""
        normal = self.norm1(x)
        x = x + (self._windowed(normal) if self.window_size else self.attn(normal))
        out: Tensor = x + self.mlp(self.norm2(x))
        return out

    def _windowed(self, x: Tensor) -> Tensor:
        B, H, W, C = x.shape
        size = self.window_size
        padded = F.pad(x, (0, 0, 0, -W % size, 0, -H % size))  # padding takes part in attention
        rows, columns = padded.shape[1] // size, padded.shape[2] // size
        windows = padded.reshape(B, rows, size, columns, size, C).transpose(2, 3)
        mixed: Tensor = self.attn(windows.reshape(-1, size, size, C))
        mixed = mixed.reshape(B, rows, columns, size, size, C).transpose(2, 3)
        return mixed.reshape(B, rows * size, columns * size, C)[:, :H, :W]


class ImageEncoderVit(nn.Module):
    """ViT and neck: (B, 3, S, S) to an embedding at stride 16."""

    def __init__(self, config: VitConfig, *, image_size_px: int, out_channels: int) -> None:
        super().__init__()
        grid_size = image_size_px // config.patch_size_px
        self.patch_embed = PatchEmbed(config.patch_size_px, config.embed_dim)
        self.pos_embed = nn.Parameter(torch.zeros(1, grid_size, grid_size, config.embed_dim))
        self.blocks = nn.ModuleList(
            EncoderBlock(
                config,
                window_size=0 if index in config.global_blocks else config.window_size,
                grid_size=grid_size,
            )
            for index in range(config.depth)
        )
        self.neck = nn.Sequential(
            nn.Conv2d(config.embed_dim, out_channels, kernel_size=1, bias=False),
            LayerNorm2d(out_channels),
            nn.Conv2d(out_channels, out_channels, kernel_size=3, padding=1, bias=False),
            LayerNorm2d(out_channels),
        )

    def forward(self, images_b3ss: Tensor) -> ImageFeatures:
        """Encode normalised, padded images."""
        x = self.patch_embed(images_b3ss) + self.pos_embed
        for block in self.blocks:
            x = block(x)
        return ImageFeatures(self.neck(x.permute(0, 3, 1, 2)))
