"""Clicks, boxes and masks as the decoder's tokens and dense maps.

Parameter names follow the official checkpoints; the parts the starter adds have names of their own.
"""

from __future__ import annotations

import math
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sam.modeling.config import SamConfig
from sam.modeling.features import ImageFeatures
from sam.modeling.layers import LayerNorm2d
from sam.prompts import BOX_LABELS, PADDING_LABEL, Prompts


class PositionEmbeddingRandom(nn.Module):
    """Random Fourier features of positions; the matrix is fixed and stored with the weights."""

    positional_encoding_gaussian_matrix: Tensor

    def __init__(self, num_pairs: int) -> None:
        super().__init__()
        self.register_buffer("positional_encoding_gaussian_matrix", torch.randn(2, num_pairs))

    def forward(self, positions_01: Tensor) -> Tensor:
        """Encode (..., 2) positions as (..., 2 * num_pairs); 0 and 1 are the frame's borders."""
        matrix = self.positional_encoding_gaussian_matrix
        with torch.autocast(device_type=matrix.device.type, enabled=False):
            # bf16 has 8 bits: positions would snap to a grid of several pixels.
            angles = (2.0 * positions_01.float() - 1.0) @ matrix.float() * (2.0 * math.pi)
        return torch.cat([angles.sin(), angles.cos()], dim=-1)


class PromptEncoder(nn.Module):
    """Encode prompts; forward returns sparse tokens and the dense map added to the image."""

    def __init__(self, config: SamConfig) -> None:
        super().__init__()
        dim = config.embed_channels
        mask_dim = config.decoder.mask_channels
        self.frame_px = config.position_frame_px
        self.stride_px = config.embedding_stride_px
        self.pe_layer = PositionEmbeddingRandom(dim // 2)
        self.point_embeddings = nn.ModuleList(nn.Embedding(1, dim) for _ in range(4))
        self.not_a_point_embed = nn.Embedding(1, dim)
        self.mask_downscaling = nn.Sequential(
            nn.Conv2d(1, mask_dim // 4, kernel_size=2, stride=2),
            LayerNorm2d(mask_dim // 4),
            nn.GELU(),
            nn.Conv2d(mask_dim // 4, mask_dim, kernel_size=2, stride=2),
            LayerNorm2d(mask_dim),
            nn.GELU(),
            nn.Conv2d(mask_dim, dim, kernel_size=1),
        )
        self.no_mask_embed = nn.Embedding(1, dim)
        self.token_features = TokenFeatures(config) if config.decoder.token_features else None

    def dense_pe(self, height: int, width: int) -> Tensor:
        """Return the positions of image tokens as (1, height * width, C)."""
        device = self.pe_layer.positional_encoding_gaussian_matrix.device
        scale = self.stride_px / self.frame_px
        y = (torch.arange(height, device=device) + 0.5) * scale
        x = (torch.arange(width, device=device) + 0.5) * scale
        grid = torch.stack([x.expand(height, -1), y[:, None].expand(-1, width)], dim=-1)
        encoded: Tensor = self.pe_layer(grid.reshape(1, height * width, 2))
        return encoded

    def forward(self, prompts: Prompts, features: ImageFeatures) -> tuple[Tensor, Tensor]:
        """Return tokens (N, P, C) and the dense map (N or 1, C, h or 1, w or 1)."""
        labels = prompts.point_labels
        is_point = (labels != PADDING_LABEL).unsqueeze(-1)
        embeddings = [self.not_a_point_embed, *self.point_embeddings]
        table = torch.cat([cast(Tensor, item.weight) for item in embeddings])
        position = self.pe_layer((prompts.point_coords + 0.5) / self.frame_px)
        tokens = position * is_point + F.embedding(labels.long() + 1, table)
        if self.token_features is not None:
            tokens = tokens + self.token_features(prompts, features) * is_point
        return tokens, self._dense(prompts)

    def no_mask(self) -> Tensor:
        """Return the dense map of prompts without a mask: (1, C, 1, 1)."""
        return self.no_mask_embed.weight.reshape(1, -1, 1, 1)

    def _dense(self, prompts: Prompts) -> Tensor:
        empty = self.no_mask()
        if prompts.low_res_logits is None:
            return empty
        dense: Tensor = self.mask_downscaling(prompts.low_res_logits)
        if prompts.has_mask is None:
            return dense
        has_mask = prompts.has_mask.reshape(-1, 1, 1, 1)
        return has_mask * dense + (1.0 - has_mask) * empty


class TokenFeatures(nn.Module):
    """Project the encoder's features at a click, or inside a box, into the token's width."""

    def __init__(self, config: SamConfig) -> None:
        super().__init__()
        channels = config.embed_channels + config.high_res_channels
        self.image_size_px = config.image_size_px
        self.point_proj = nn.Linear(channels, config.embed_channels)
        self.box_proj = nn.Linear(channels, config.embed_channels)

    def forward(self, prompts: Prompts, features: ImageFeatures) -> Tensor:
        """Return (N, P, C) to add to the tokens; the value at padding points is undefined."""
        maps = [features.image_embeddings]
        if features.high_res_features is not None:
            maps.append(features.high_res_features)
        coords, labels = prompts.point_coords, prompts.point_labels
        at_points = torch.cat([sample_at(m, coords, self.image_size_px) for m in maps], -1)
        boxes = boxes_of(coords, labels)
        in_boxes = torch.cat([mean_in_boxes(m, boxes, self.image_size_px) for m in maps], -1)
        is_corner = (labels >= BOX_LABELS[0]).unsqueeze(-1)
        from_box = self.box_proj(in_boxes).unsqueeze(1)
        return torch.where(is_corner, from_box, self.point_proj(at_points))


def boxes_of(coords: Tensor, labels: Tensor) -> Tensor:
    """Return each prompt set's box (N, 4) xyxy; all zero where it has none."""
    low = (coords * (labels == BOX_LABELS[0]).unsqueeze(-1)).sum(1)
    high = (coords * (labels == BOX_LABELS[1]).unsqueeze(-1)).sum(1)
    return torch.cat([low, high], dim=-1)


def sample_at(feature_map: Tensor, coords: Tensor, image_size_px: int) -> Tensor:
    """Read the map of one image, or of N (1 or N, C, h, w), at (N, P, 2) model pixels: (N, P, C).

    Bilinearly.
    """
    places = (coords + 0.5) * (2.0 / image_size_px) - 1.0
    is_one_image = feature_map.shape[0] == 1
    grid = places.unsqueeze(0 if is_one_image else 2)
    sampled = F.grid_sample(
        feature_map.float(), grid.float(), padding_mode="border", align_corners=False
    )
    if is_one_image:
        return sampled.squeeze(0).permute(1, 2, 0)
    return sampled.squeeze(3).transpose(1, 2)


def mean_in_boxes(feature_map: Tensor, boxes_xyxy: Tensor, image_size_px: int) -> Tensor:
    """Average the map of one image, or of N (1 or N, C, h, w), over N boxes: (N, C).

    Boxes are in model pixels. Cells weigh by the share of them inside the box; a box thinner than a
    pixel counts as one.
    """
    num_images, _, height, width = feature_map.shape
    in_x = _cell_shares(boxes_xyxy[:, 0], boxes_xyxy[:, 2], width, image_size_px)
    in_y = _cell_shares(boxes_xyxy[:, 1], boxes_xyxy[:, 3], height, image_size_px)
    weight = (in_x.sum(-1) * in_y.sum(-1)).clamp(min=1e-6)
    if num_images == 1:
        by_row = (feature_map.float() @ in_x.t())[0]  # (C, h, N)
        return ((by_row * in_y.t()).sum(1) / weight).t()
    by_row = (feature_map.float() @ in_x[:, None, :, None]).squeeze(-1)  # (N, C, h)
    return (by_row @ in_y.unsqueeze(-1)).squeeze(-1) / weight.unsqueeze(-1)


def _cell_shares(low_px: Tensor, high_px: Tensor, num_cells: int, size_px: int) -> Tensor:
    cell_px = size_px / num_cells
    starts = torch.arange(num_cells, device=low_px.device, dtype=torch.float32) * cell_px
    low = low_px.clamp(0.0, size_px - 1.0).unsqueeze(-1)
    high = torch.maximum(high_px.unsqueeze(-1) + 1.0, low + 1.0)  # the last pixel is inside
    covered = torch.minimum(high, starts + cell_px) - torch.maximum(low, starts)
    return covered.clamp(min=0.0) / cell_px
