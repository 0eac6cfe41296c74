"""From prompt tokens and image features to four masks and their predicted quality.

Parameter names follow the official checkpoints; `high_res_mix` exists only in the starter.
"""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sam.click_maps import NUM_HYPOTHESES
from sam.config import SamConfig
from sam.layers import MLP, LayerNorm2d
from sam.prompt_maps import map_offset, num_map_channels
from sam.transformer import TwoWayTransformer

NUM_MASKS = 4  # one single mask and three for an ambiguous prompt
CANDIDATE_GAIN = 8.0  # candidates lie in [-1, 1], logits do not


class MaskDecoder(nn.Module):
    """Two-way transformer, upscaling, and one hyper-network per mask."""

    def __init__(self, config: SamConfig) -> None:
        super().__init__()
        dim, decoder = config.embed_channels, config.decoder
        middle, fine = decoder.upscale_channels
        self.transformer = TwoWayTransformer(
            dim,
            num_layers=decoder.num_layers,
            num_heads=decoder.num_heads,
            mlp_dim=decoder.mlp_dim,
            downsample=decoder.attention_downsample,
        )
        self.iou_token = nn.Embedding(1, dim)
        self.mask_tokens = nn.Embedding(NUM_MASKS, dim)
        self.output_upscaling = nn.Sequential(
            nn.ConvTranspose2d(dim, middle, kernel_size=2, stride=2),
            LayerNorm2d(middle),
            nn.GELU(),
            nn.ConvTranspose2d(middle, fine, kernel_size=2, stride=2),
            nn.GELU(),
        )
        num_maps = num_map_channels(decoder.prompt_maps)
        self.output_hypernetworks_mlps = nn.ModuleList(
            MLP([dim, dim, dim, fine + num_maps]) for _ in range(NUM_MASKS)
        )
        hidden = decoder.iou_hidden_dim
        self.iou_prediction_head = MLP([dim, hidden, hidden, NUM_MASKS])
        self.high_res_mix: HighResMix | None = None
        self.iou_from_masks: IouFromMasks | None = None
        if decoder.mask_aware_iou:
            self.iou_from_masks = IouFromMasks(dim, fine + num_maps, hidden_dim=hidden)
        if config.high_res_channels:
            self.high_res_mix = HighResMix(fine, config.high_res_channels, num_maps)
        if "candidates" in decoder.prompt_maps:
            first = fine + map_offset(decoder.prompt_maps, "candidates")
            self._start_from_candidates(first)

    @torch.no_grad()
    def _start_from_candidates(self, first_channel: int) -> None:
        """Let untrained masks be the click maps' candidates, so that training only improves them.

        Channels from `first_channel`: three by foreground clicks, three by background clicks, one
        by the box. The single mask begins as the mean of the three.
        """
        for index, mlp in enumerate(self.output_hypernetworks_mlps):
            last = cast(nn.Linear, cast(MLP, mlp).layers[-1])
            last.weight.mul_(0.1)
            last.bias.mul_(0.1)
            by_click = slice(first_channel, first_channel + NUM_HYPOTHESES)
            if index == 0:
                last.bias[by_click] = CANDIDATE_GAIN / NUM_HYPOTHESES
            else:
                last.bias[first_channel + index - 1] = CANDIDATE_GAIN
            last.bias[first_channel + 2 * NUM_HYPOTHESES] = CANDIDATE_GAIN

    def forward(
        self,
        image: Tensor,
        image_pe: Tensor,
        prompt_tokens: Tensor,
        *,
        high_res: Tensor | None = None,
        maps: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Return mask logits (N, 4, 4h, 4w) and predicted IoU (N, 4).

        image: (N or 1, C, h, w), dense prompt already added. image_pe: (1, h * w, C).
        high_res: (1, Ch, 4h, 4w), and maps (N, M, 4h, 4w), in the starter only.
        """
        num_prompts = prompt_tokens.shape[0]
        height, width = image.shape[-2:]
        own = torch.cat([self.iou_token.weight, self.mask_tokens.weight])
        tokens = torch.cat([own.expand(num_prompts, -1, -1), prompt_tokens], dim=1)
        tokens, pixels = self.transformer(image.flatten(2).transpose(1, 2), image_pe, tokens)
        pixels = pixels.transpose(1, 2).reshape(num_prompts, -1, height, width)
        fine = self.output_upscaling(pixels)
        if self.high_res_mix is not None:
            fine = self.high_res_mix(fine, high_res, maps)
            if maps is not None:  # also read out as they are
                fine = torch.cat([fine, maps.to(fine.dtype)], dim=1)
        weights = torch.stack(
            [mlp(tokens[:, 1 + i]) for i, mlp in enumerate(self.output_hypernetworks_mlps)], dim=1
        )
        logits = (weights @ fine.flatten(2)).reshape(num_prompts, NUM_MASKS, *fine.shape[-2:])
        predicted_iou = self.iou_prediction_head(tokens[:, 0])
        if self.iou_from_masks is not None:
            own_tokens = tokens[:, : 1 + NUM_MASKS]
            predicted_iou = predicted_iou + self.iou_from_masks(own_tokens, logits, fine)
        return logits, predicted_iou


class IouFromMasks(nn.Module):
    """Correct the predicted IoU by looking at each mask: its size, its doubt, what it covers.

    The official head sees one token for all four masks; from scratch it hardly tells them apart.
    Masks and features come detached: quality is judged here, not bought.
    """

    def __init__(self, dim: int, fine_channels: int, *, hidden_dim: int) -> None:
        super().__init__()
        self.mlp = MLP([2 * dim + 2 * fine_channels + 3, hidden_dim, hidden_dim, 1])

    def forward(self, tokens: Tensor, logits: Tensor, fine: Tensor) -> Tensor:
        """Return what to add to the predicted IoU (N, 4).

        tokens: (N, 5, C), IoU token first. logits: (N, 4, h, w). fine: (N, F, h, w).
        """
        with torch.autocast(device_type=logits.device.type, enabled=False):
            masks = logits.detach().float().flatten(2).clamp(-20.0, 20.0)
            cells = fine.detach().float().flatten(2).transpose(1, 2)
            inside = masks.sigmoid()
            total = inside.sum(-1, keepdim=True) + 1e-3
            area = inside.mean(-1, keepdim=True)
            certainty = inside.square().sum(-1, keepdim=True) / total
            core = (4.0 * (masks - 1.0)).sigmoid().sum(-1, keepdim=True)
            reach = (4.0 * (masks + 1.0)).sigmoid().sum(-1, keepdim=True) + 1e-3
            covered = inside @ cells / total
            rest = (cells.sum(1, keepdim=True) - inside @ cells) / (inside.shape[-1] - total + 1.0)
        shared = tokens[:, :1].expand(-1, NUM_MASKS, -1)
        stats = [(area + 1e-4).log() * 0.2, certainty, core / reach]
        seen = torch.cat([shared, tokens[:, 1:], covered, rest, *stats], dim=-1)
        out: Tensor = self.mlp(seen)
        return out.squeeze(-1)


class HighResMix(nn.Module):
    """Mix the upscaled prompt-aware map with the encoder's stride-4 features and prompt maps.

    One 1x1 convolution over their concatenation, written as a sum so that the image's part is
    computed once for all prompts; then GELU and a 3x3 convolution, added to the upscaled map.
    """

    def __init__(self, channels: int, high_res_channels: int, map_channels: int) -> None:
        super().__init__()
        self.from_upscaled = nn.Conv2d(channels, channels, 1)
        self.from_high_res = nn.Conv2d(high_res_channels, channels, 1, bias=False)
        self.from_maps = nn.Conv2d(map_channels, channels, 1, bias=False) if map_channels else None
        self.mix = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, fine: Tensor, high_res: Tensor, maps: Tensor | None) -> Tensor:
        """Return (N, channels, h, w)."""
        mixed = self.from_upscaled(fine) + self.from_high_res(high_res)
        if self.from_maps is not None:
            mixed = mixed + self.from_maps(maps)
        out: Tensor = fine + self.mix(F.gelu(mixed))
        return out
