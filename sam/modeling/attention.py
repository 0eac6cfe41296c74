"""Attention among a few tokens, and between them and thousands of image cells.

`TokenImageAttention` says which exact forms of the same sums are cheap, and when.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sam.tracing import is_tracing


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
        """Attend from q (N, Lq, C) to k, v (N, Lk, C)."""
        query, key = self.heads(self.q_proj(q)), self.heads(self.k_proj(k))
        return self.answer(_attend(query, key, self.heads(self.v_proj(v))))

    def heads(self, x: Tensor) -> Tensor:
        """(N, L, D) to (N, heads, L, d)."""
        N, L, D = x.shape
        return x.reshape(N, L, self.num_heads, D // self.num_heads).transpose(1, 2)

    def answer(self, mixed: Tensor) -> Tensor:
        """Project what the heads mixed, (N, heads, L, d), to (N, L, C)."""
        out: Tensor = self.out_proj(mixed.transpose(1, 2).flatten(2))
        return out


def _attend(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    # Written out: with a dozen tokens and narrow heads the fused CPU kernel is twice as slow.
    weights = (query * query.shape[-1] ** -0.5) @ key.transpose(-2, -1)
    out: Tensor = weights.softmax(dim=-1).to(value.dtype) @ value
    return out


@dataclass(frozen=True, slots=True)
class ImageTokens:
    """The image as N prompt sets find it; a batch of 1 serves them all.

    cells: (N or 1, HW, C). positioned: the same with positions added.
    keys, values, queries: (heads, HW, d), the first block's projections of an image that many
    prompt sets share, made once for all of them; None otherwise.
    """

    cells: Tensor
    positioned: Tensor
    keys: Tensor | None = None
    values: Tensor | None = None
    queries: Tensor | None = None


class TokenImageAttention(Attention):
    """Attention between T prompt tokens and HW image cells, HW far larger than T.

    Projecting the cells costs HW x C x D for each prompt set. Two exact forms avoid that.
    *Absorbed*: the projection moves to the token side of the product, (W x) . t = x . (W' t), once
    for each of heads x T rows; cheaper while heads x T <= D. *Shared*: an image that is the same
    for many prompt sets is projected once for all of them (`ImageTokens.keys` and so on).
    """

    def is_absorbed(self, num_tokens: int) -> bool:
        """Say whether moving the projection to the tokens is the cheaper form."""
        return num_tokens * self.num_heads <= self.q_proj.out_features

    def absorb(self, rows: Tensor, weight: Tensor) -> Tensor:
        """Multiply each head's rows (N, heads, T, d) by its part of a weight (D, C).

        Returns (N, heads * T, C).
        """
        N, heads, T, d = rows.shape
        by_head = rows.transpose(0, 1).reshape(heads, N * T, d) @ weight.reshape(heads, d, -1)
        return by_head.reshape(heads, N, T, -1).transpose(0, 1).reshape(N, heads * T, -1)


class TokensReadImage(TokenImageAttention):
    """Tokens ask, image cells answer."""

    def read(self, tokens: Tensor, image: ImageTokens) -> Tensor:
        """Return what tokens (N, T, C) read: (N, T, C)."""
        query = self.heads(self.q_proj(tokens))
        if image.keys is not None and image.values is not None:
            return self.answer(_attend_shared(query, image.keys, image.values))
        if self.is_absorbed(tokens.shape[1]):
            return self.answer(self._attend_absorbed(query, image))
        key, value = self.k_proj(image.positioned), self.v_proj(image.cells)
        return self.answer(_attend(query, self.heads(key), self.heads(value)))

    def share(self, image: ImageTokens) -> tuple[Tensor, Tensor]:
        """Project the cells of one image: keys and values (heads, HW, d)."""
        key, value = self.k_proj(image.positioned), self.v_proj(image.cells)
        return self.heads(key)[0].contiguous(), self.heads(value)[0].contiguous()

    def _attend_absorbed(self, query: Tensor, image: ImageTokens) -> Tensor:
        N, heads, T, d = query.shape
        # The keys' bias adds the same to every score of a row: softmax does not see it.
        asked = self.absorb(query * d**-0.5, self.k_proj.weight)
        weights = (asked @ image.positioned.transpose(1, 2)).softmax(dim=-1)
        attended_cells = (weights.to(image.cells.dtype) @ image.cells).reshape(N, heads, T, -1)
        by_head = attended_cells.transpose(0, 1).reshape(heads, N * T, -1)
        weight = self.v_proj.weight.reshape(heads, d, -1)
        mixed = (by_head @ weight.transpose(1, 2)).reshape(heads, N, T, d).transpose(0, 1)
        return mixed + self.v_proj.bias.reshape(heads, 1, d)  # a row's weights add up to 1


def _attend_shared(query: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """Attend with (N, heads, T, d) to one image's keys and values (heads, HW, d)."""
    N, heads, T, d = query.shape
    by_head = query.transpose(0, 1).reshape(heads, N * T, d)
    return _attend(by_head, keys, values).reshape(heads, N, T, d).transpose(0, 1)


class ImageReadsTokens(TokenImageAttention):
    """Image cells ask, tokens answer: this writes a prompt into the image."""

    def write(self, image: ImageTokens, keys: Tensor, values: Tensor) -> Tensor:
        """Return the cells plus what they read of keys and values (N, T, C): (N, HW, C)."""
        N, T, _ = keys.shape
        if not self.is_absorbed(T):
            read: Tensor = self(image.positioned.expand(N, -1, -1), keys, values)
            return image.cells + read
        weights = self._scores(image, self.heads(self.k_proj(keys))).softmax(dim=2).flatten(1, 2)
        attended = self.absorb(self.heads(self.v_proj(values)), self.out_proj.weight.t())
        attended = attended + self.out_proj.bias / self.num_heads  # a head's weights add up to 1
        by_cell = weights.to(attended.dtype).transpose(1, 2)
        if is_tracing():  # exported, baddbmm would become more nodes than it saves
            return image.cells + by_cell @ attended
        return torch.baddbmm(image.cells.to(attended.dtype), by_cell, attended)

    def share(self, image: ImageTokens) -> Tensor:
        """Project the cells of one image: queries (heads, HW, d)."""
        return self.heads(self.q_proj(image.positioned))[0].contiguous()

    def _scores(self, image: ImageTokens, key: Tensor) -> Tensor:
        """Return (N, heads, T, HW)."""
        N, heads, T, d = key.shape
        key = key * d**-0.5
        if image.queries is not None:
            by_head = key.transpose(0, 1).reshape(heads, N * T, d) @ image.queries.transpose(1, 2)
            return by_head.reshape(heads, N, T, -1).transpose(0, 1)
        asked = self.absorb(key, self.q_proj.weight)
        bias = (key * self.q_proj.bias.reshape(heads, 1, d)).sum(-1).reshape(N, heads * T, 1)
        scores = asked @ image.positioned.transpose(1, 2) + bias
        return scores.reshape(N, heads, T, -1)
