"""From prompt tokens and image features to four masks and their predicted quality.

Parameter names follow the official checkpoints; `high_res_mix` exists only in the starter.
"""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sam.modeling.attention import ImageTokens
from sam.modeling.click_maps import NUM_HYPOTHESES
from sam.modeling.config import SamConfig
from sam.modeling.layers import MLP, LayerNorm2d, gelu
from sam.modeling.prompt_maps import map_offset, num_map_channels
from sam.modeling.prompt_rules import PromptRules
from sam.modeling.readout import ConvReadout, Readout
from sam.modeling.transformer import TwoWayTransformer
from sam.prompts import Decoded
from sam.tracing import is_tracing

NUM_MASKS = 4  # one single mask and three for an ambiguous prompt
NUM_AMBIGUOUS = NUM_MASKS - 1
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
        self.output_upscaling = Upscaling(dim, middle, fine, is_rough=config.high_res_channels > 0)
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

    def prepare_image(self, image: Tensor, image_pe: Tensor, *, is_shared: bool) -> ImageTokens:
        """Prepare an image (N or 1, C, h, w), dense prompt already added, for `forward`.

        is_shared: several prompt sets will use this one image.
        """
        cells = image.flatten(2).transpose(1, 2).contiguous()
        return self.transformer.prepare_image(cells, image_pe, is_shared=is_shared)

    def forward(
        self,
        image: ImageTokens,
        image_pe: Tensor,
        prompt_tokens: Tensor,
        *,
        image_hw: tuple[int, int],
        high_res: Tensor | None = None,
        maps: Tensor | None = None,
        rules: PromptRules | None = None,
        min_iou: float | None = None,
    ) -> Decoded:
        """Return mask logits (N, 4, 4h, 4w) and predicted IoU (N, 4).

        image_pe: (1, h * w, C). image_hw: (h, w). high_res: (1, Ch, 4h, 4w), maps (N, M, 4h, 4w)
        and rules in the starter only. min_iou: see `Sam.decode`.
        """
        num_prompts = prompt_tokens.shape[0]
        own = torch.cat([self.iou_token.weight, self.mask_tokens.weight])
        tokens = torch.cat([own.expand(num_prompts, -1, -1), prompt_tokens], dim=1)
        tokens, cells = self.transformer(image, image_pe, tokens, num_read=1 + NUM_MASKS)
        iou: Tensor = self.iou_prediction_head(tokens[:, 0])
        iou = iou if rules is None else rules.adjust_iou(iou)
        rows: Tensor | None = None
        if min_iou is not None and self.iou_from_masks is None:  # painting is half of the work
            rows = (iou[:, 1:] > min_iou).any(1).nonzero().flatten()
            tokens, cells, iou = tokens[rows], cells[rows], iou[rows]
            maps = None if maps is None else maps[rows]
            rules = None if rules is None else rules.rows(rows)
            if not len(rows):
                height, width = image_hw
                return Decoded(iou.new_zeros(0, NUM_MASKS, 4 * height, 4 * width), iou, rows)
        logits, fine = self._paint(tokens[:, 1:], cells, image_hw, high_res, maps)
        if rules is not None:
            logits = rules.apply(logits)
        if self.iou_from_masks is not None:
            correction: Tensor = self.iou_from_masks(tokens, logits, fine)
            iou = iou + (correction if rules is None else rules.adjust_iou(correction))
            if min_iou is not None:
                rows = (iou[:, 1:] > min_iou).any(1).nonzero().flatten()
                logits, iou = logits[rows], iou[rows]
        return Decoded(logits, iou, rows)

    def _paint(
        self,
        mask_tokens: Tensor,
        cells: Tensor,
        image_hw: tuple[int, int],
        high_res: Tensor | None,
        maps: Tensor | None,
    ) -> tuple[Tensor, Readout | ConvReadout]:
        """Return logits (N, 4, 4h, 4w) and what they are read from."""
        weights = torch.stack(
            [mlp(mask_tokens[:, i]) for i, mlp in enumerate(self.output_hypernetworks_mlps)], dim=1
        )
        is_coarse = high_res is not None and high_res.shape[-1] < 4 * image_hw[1]
        fine: Tensor = self.output_upscaling(cells, is_coarse=is_coarse)
        if self.high_res_mix is None:  # masks are put in order, not their many channels
            flat = Readout(fine.transpose(1, 2).unsqueeze(-1))
            logits = weights @ fine.transpose(1, 2)
            return in_rows(logits.unsqueeze(-1), image_hw).squeeze(-1), flat
        rows = in_rows(fine, image_hw).permute(0, 3, 1, 2)
        readout: Readout | ConvReadout = self.high_res_mix(rows, high_res, maps)
        return readout.read(weights), readout


class Upscaling(nn.Sequential):
    """Two transposed 2x2 convolutions, as matrix products over cells.

    With kernel and stride equal, each cell becomes four by itself: (N, L, C) to (N, 16 L, F), the
    new ones of a cell side by side. `in_rows` puts them in the image's order.
    is_rough: see `sam.layers.gelu`; official models are exported exactly.
    """

    def __init__(self, dim: int, middle: int, fine: int, *, is_rough: bool) -> None:
        super().__init__(
            nn.ConvTranspose2d(dim, middle, kernel_size=2, stride=2),
            LayerNorm2d(middle),
            nn.GELU(),
            nn.ConvTranspose2d(middle, fine, kernel_size=2, stride=2),
            nn.GELU(),
        )
        self.is_rough = is_rough

    def forward(self, cells: Tensor, *, is_coarse: bool = False) -> Tensor:
        """(N, L, C) to (N, 16 L, F), or to (N, 4 L, F): the mean of four as one."""
        first, norm, _, second, _ = self
        x = _quadruple(cells, cast(nn.ConvTranspose2d, first))
        x = gelu(cast(LayerNorm2d, norm).last(x), is_rough=self.is_rough)
        last = cast(nn.ConvTranspose2d, second)
        x = (
            F.linear(x, last.weight.mean((2, 3)).t(), last.bias)
            if is_coarse
            else _quadruple(x, last)
        )
        return gelu(x, is_rough=self.is_rough)


def _quadruple(cells: Tensor, conv: nn.ConvTranspose2d) -> Tensor:
    weight = conv.weight.permute(2, 3, 1, 0).flatten(0, 2)  # (4 * out, in)
    bias = None if conv.bias is None else conv.bias.repeat(4)
    wide = F.linear(cells.flatten(0, 1), weight, bias)  # flat: a Gemm with its bias when exported
    return wide.reshape(cells.shape[0], -1, conv.out_channels)


def in_rows(nested: Tensor, image_hw: tuple[int, int]) -> Tensor:
    """Put (..., 16 h w, F) cells of `Upscaling` in the image's order: (..., 4h, 4w, F)."""
    h, w = image_hw
    lead, channels = nested.shape[:-2], nested.shape[-1]
    if nested.shape[-2] == 4 * h * w:
        x = nested.reshape(-1, h, w, 2, 2, channels).transpose(2, 3)
        return x.reshape(*lead, 2 * h, 2 * w, channels)
    x = nested.reshape(-1, h, w, 2, 2, 2, 2, channels).permute(0, 1, 3, 5, 2, 4, 6, 7)
    return x.reshape(*lead, 4 * h, 4 * w, channels)


class IouFromMasks(nn.Module):
    """Correct the predicted IoU by looking at each mask: its size, its doubt, what it covers.

    The official head sees one token for all four masks; from scratch it hardly tells them apart.
    Masks and features are detached so the IoU loss cannot change the masks.
    """

    def __init__(self, dim: int, fine_channels: int, *, hidden_dim: int) -> None:
        super().__init__()
        self.mlp = MLP([2 * dim + 2 * fine_channels + 3, hidden_dim, hidden_dim, 1])

    def forward(self, tokens: Tensor, logits: Tensor, fine: Readout | ConvReadout) -> Tensor:
        """Return what to add to the predicted IoU (N, 4).

        tokens: (N, 5, C), IoU token first. logits: (N, 4, h, w).
        """
        out: Tensor = self.mlp(self.inputs_of(tokens, logits, fine))
        return out.squeeze(-1)

    def inputs_of(self, tokens: Tensor, logits: Tensor, fine: Readout | ConvReadout) -> Tensor:
        """Return what each mask is judged by (N, 4, D), the IoU token first."""
        with torch.autocast(device_type=logits.device.type, enabled=False):
            masks = logits.detach().float().flatten(2).clamp(-20.0, 20.0)
            inside = masks.sigmoid()
            total = inside.sum(-1, keepdim=True) + 1e-3
            area = inside.mean(-1, keepdim=True)
            certainty = inside.square().sum(-1, keepdim=True) / total
            core = (4.0 * (masks - 1.0)).sigmoid().sum(-1, keepdim=True)
            reach = (4.0 * (masks + 1.0)).sigmoid().sum(-1, keepdim=True) + 1e-3
            under, everywhere = fine.gather(inside)
            covered = under / total
            rest = (everywhere - under) / (inside.shape[-1] - total + 1.0)
        shared = tokens[:, :1].expand(-1, NUM_MASKS, -1)
        stats = [(area + 1e-4).log() * 0.2, certainty, core / reach]
        return torch.cat([shared, tokens[:, 1:], covered, rest, *stats], dim=-1)


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

    def forward(
        self, fine: Tensor, high_res: Tensor | None, maps: Tensor | None
    ) -> Readout | ConvReadout:
        """Return what masks are read from: the mixed channels, and the maps as they are."""
        mixed = self.from_upscaled(fine) + self.from_high_res(high_res)
        if self.from_maps is not None:
            mixed = mixed + self.from_maps(maps)
        mixed = gelu(mixed, is_rough=True)
        plain = [fine] if maps is None else [fine, maps.to(fine.dtype)]
        if is_tracing():  # exported: browsers convolve slowly
            return ConvReadout(torch.cat(plain, dim=1), mixed, self.mix)
        plain[0] = fine + self.mix(mixed)
        return Readout(torch.cat(plain, dim=1))
