"""The official image encoder: a ViT with windowed attention and decomposed relative positions.

Parameter names and shapes follow the official checkpoints (segment-anything image_encoder.py);
the order of the work does not: see `docs/explanation/adr/0005-exact-shortcuts-of-the-model.md`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sam.modeling.config import ConfigError
from sam.modeling.encoders.registry import EncoderConfig, EncoderSpec, ModelSizes
from sam.modeling.features import ImageFeatures
from sam.modeling.layers import LayerNorm2d, MLPBlock, is_cpu_inference
from sam.tracing import is_tracing

_QUERIES_PER_BLOCK = 256
"""Global attention on CPUs: 256 queries by 4,096 keys of float32 are 4 MB and stay in cache."""
_ROWS_PER_STRIP = 16
_ROWS_IN_GRAPH = 8


@dataclass(frozen=True, kw_only=True)
class VitConfig(EncoderConfig):
    """The official image encoder: a plain ViT with windowed attention."""

    embed_dim: int
    depth: int
    num_heads: int
    global_blocks: tuple[int, ...]
    patch_size_px: int = 16
    window_size: int = 14
    mlp_ratio: float = 4.0


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

    def forward(self, strips: Sequence[Tensor]) -> Tensor:
        """Attend from every token to every token of a map (B, h, w, D) given in strips of rows."""
        parts = [
            self.qkv(strip).unflatten(-1, (3, self.num_heads, -1)).permute(3, 0, 4, 1, 2, 5)
            for strip in strips
        ]
        q, k, v = (torch.cat([part[i] for part in parts], dim=2) for i in range(3))
        if is_tracing():  # an exported graph: all heads at once
            mixed = self._mix(q, k, v, num_heads=self.num_heads, num_rows=_ROWS_IN_GRAPH)
        elif is_cpu_inference(q):
            num_rows = max(1, _QUERIES_PER_BLOCK // q.shape[3])
            mixed = self._mix(q, k, v, num_heads=1, num_rows=num_rows)
        else:
            mixed = self._mix(q, k, v, num_heads=self.num_heads, num_rows=q.shape[2])
        out: Tensor = self.proj(mixed.permute(0, 2, 3, 1, 4).flatten(3))
        return out

    def in_windows(self, x: Tensor, size: int) -> Tensor:
        """Attend within windows of size x size tokens: (B, h, w, D) to the same shape.

        Windows that reach over the map's end are filled with zeros, which take part in attention
        (segment-anything window_partition). A zero projects to the bias alone and its answer is
        thrown away, so neither is computed.
        """
        B, H, W, D = x.shape
        rows, columns = (H + size - 1) // size, (W + size - 1) // size
        padding = (0, 0, 0, columns * size - W, 0, rows * size - H)
        qkv = F.pad(F.linear(x, self.qkv.weight), padding) + self.qkv.bias
        qkv = qkv.reshape(B, rows, size, columns, size, 3, self.num_heads, -1)
        windows = qkv.permute(5, 0, 1, 3, 6, 2, 4, 7).flatten(1, 3)
        mixed = self._mix(*windows.unbind(0), num_heads=self.num_heads, num_rows=size)
        whole = mixed.reshape(B, rows, columns, *mixed.shape[1:]).permute(0, 1, 4, 2, 5, 3, 6)
        whole = whole.reshape(B, rows * size, columns * size, D)
        out: Tensor = self.proj(whole[:, :H, :W])
        return out

    def _mix(self, q: Tensor, k: Tensor, v: Tensor, *, num_heads: int, num_rows: int) -> Tensor:
        """Attend from every token to every token, all (B, heads, H, W, d), in blocks.

        num_heads, num_rows: how many heads and rows of queries at once.
        """
        by_row, by_column = self._position_biases(q)
        by_head = []
        for head in range(0, q.shape[1], num_heads):
            heads = slice(head, head + num_heads)
            keys, values = k[:, heads].flatten(2, 3), v[:, heads].flatten(2, 3)
            parts = []
            for top in range(0, q.shape[2], num_rows):
                rows = slice(top, top + num_rows)
                bias = by_row[:, heads, rows, :, :, None] + by_column[:, heads, rows, :, None, :]
                queries, mask = q[:, heads, rows].flatten(2, 3), bias.flatten(4).flatten(2, 3)
                parts.append(F.scaled_dot_product_attention(queries, keys, values, mask))
            by_head.append(torch.cat(parts, dim=2))
        return torch.cat(by_head, dim=1).reshape(q.shape)

    def _position_biases(self, q: Tensor) -> tuple[Tensor, Tensor]:
        """Return what q (..., H, W, d) adds per key row and column: (..., H, W, H or W)."""
        rows = relative_positions(self.rel_pos_h, q.shape[-3])
        columns = relative_positions(self.rel_pos_w, q.shape[-2])
        by_row = torch.einsum("bnhwc,hkc->bnhwk", q, rows)
        by_column = torch.einsum("bnhwc,wkc->bnhwk", q, columns)
        return by_row, by_column


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
        if self.window_size:
            return torch.cat([self._mlp(self._windows(part)) for part in self._strips(x)], dim=1)
        x = x + self.attn([self.norm1(part) for part in self._strips(x)])
        return torch.cat([self._mlp(part) for part in self._strips(x)], dim=1)

    def _windows(self, strip: Tensor) -> Tensor:
        return strip + self.attn.in_windows(self.norm1(strip), self.window_size)

    def _mlp(self, strip: Tensor) -> Tensor:
        out: Tensor = strip + self.mlp(self.norm2(strip))
        return out

    def _strips(self, x: Tensor) -> tuple[Tensor, ...]:
        """Cut into rows of windows, which nothing that follows crosses.

        On a CPU a strip stays in cache, and below the 32 MB from which the allocator returns
        memory to the system, to fault it in again page by page.
        """
        if not is_cpu_inference(x):
            return (x,)
        return torch.split(x, self.window_size or _ROWS_PER_STRIP, dim=1)


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


def _build(config: VitConfig, model: ModelSizes) -> ImageEncoderVit:
    return ImageEncoderVit(
        config, image_size_px=model.image_size_px, out_channels=model.embed_channels
    )


def _check(config: VitConfig, model: ModelSizes) -> None:
    if model.high_res_channels:
        raise ConfigError("a ViT encoder has no high-resolution features")


SPEC = EncoderSpec(
    config_class=VitConfig,
    build=_build,
    check=_check,
    size_step_px=16,
    has_fixed_size=True,  # position tables
    prefers_onnxruntime=False,  # gains little, and needs its weights twice
)
