"""What each click or box alone would select, as learned dense maps for the starter's mix.

A query read from the encoder's features at the prompt is compared with a key per stride-4 cell;
every cell also says where the middle of its object lies, so look-alikes elsewhere do not answer.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sam.modeling.features import ImageFeatures
from sam.modeling.prompt_encoder import boxes_of, mean_in_boxes, sample_at
from sam.prompts import BOX_LABELS, Prompts

NUM_HYPOTHESES = 3  # whole, part, subpart, as the decoder's ambiguity masks
UNIT_PX = 32.0
"""Distances are measured in this many model pixels, to keep numbers near one."""
_MAX_LOG_SHARPNESS = 6.0


class ClickMaps(nn.Module):
    """Candidate masks by one dot product each; cheap enough for every click of a prompt set."""

    num_channels = 2 * NUM_HYPOTHESES + 1

    def __init__(self, *, embed_channels: int, high_res_channels: int, image_size_px: int) -> None:
        super().__init__()
        keys = high_res_channels
        sampled = embed_channels + high_res_channels
        self.image_size_px = image_size_px
        self.key_fine = nn.Conv2d(high_res_channels, keys + 2, 1)
        self.key_coarse = nn.Conv2d(embed_channels, keys + 2, 1)
        self.point_query = _query_head(
            sampled, NUM_HYPOTHESES * (keys + 4), num_queries=NUM_HYPOTHESES
        )
        self.box_query = _query_head(sampled + 2, keys + 4)

    def forward(self, prompts: Prompts, features: ImageFeatures) -> Tensor:
        """Return (N, 7, S/4, S/4) in [-1, 1]: 3 by foreground clicks, 3 by background, 1 by box.

        Several clicks of one kind join by maximum; a kind that is absent gives zeros.
        """
        with torch.autocast(device_type=prompts.point_coords.device.type, enabled=False):
            keys, places = self._cells(features)
            by_point = self.point_logits(prompts.point_coords, features, keys, places)
            by_point = torch.tanh(by_point * 0.25)  # (N, P, 3, h, w)
            maps = []
            for label in (1, 0):
                is_label = (prompts.point_labels == label)[..., None, None, None]
                best = by_point.masked_fill(~is_label, -1.0).amax(1)
                maps.append(best * is_label.any(1))
            boxes = boxes_of(prompts.point_coords, prompts.point_labels)
            has_box = (prompts.point_labels == BOX_LABELS[0]).any(1)[:, None, None, None]
            by_box = torch.tanh(self.box_logits(boxes, features, keys, places) * 0.25)
            return torch.cat([*maps, by_box * has_box], dim=1)

    def logits(
        self, points: Tensor, boxes: Tensor, features: ImageFeatures
    ) -> tuple[Tensor, Tensor]:
        """Return the candidates' own logits, for training them directly.

        points: (N, P, 2), boxes: (M, 4), model pixels; features of one image, or of one for each
        row of both. Returns (N, P, 3, S/4, S/4) and (M, 1, S/4, S/4).
        """
        with torch.autocast(device_type=points.device.type, enabled=False):
            keys, places = self._cells(features)
            return (
                self.point_logits(points, features, keys, places),
                self.box_logits(boxes, features, keys, places),
            )

    def point_logits(
        self, points: Tensor, features: ImageFeatures, keys: Tensor, places: Tensor
    ) -> Tensor:
        """Compare (N, P, 2) clicks with every cell: (N, P, 3, h, w)."""
        sampled = torch.cat(
            [sample_at(m, points, self.image_size_px) for m in _maps(features)], dim=-1
        )
        query = self.point_query(sampled).unflatten(-1, (NUM_HYPOTHESES, -1))
        middle = (points + 0.5) / UNIT_PX
        return _compare(query, middle.unsqueeze(2), keys, places)

    def box_logits(
        self, boxes: Tensor, features: ImageFeatures, keys: Tensor, places: Tensor
    ) -> Tensor:
        """Compare (N, 4) boxes with every cell: (N, 1, h, w)."""
        size = (boxes[:, 2:] - boxes[:, :2] + 1.0).clamp(min=1.0) / UNIT_PX
        inside = [mean_in_boxes(m, boxes, self.image_size_px) for m in _maps(features)]
        query = self.box_query(torch.cat([*inside, size.log()], dim=-1)).unsqueeze(1)
        middle = ((boxes[:, 2:] + boxes[:, :2]) * 0.5 + 0.5) / UNIT_PX
        return _compare(query, middle.unsqueeze(1), keys, places)

    def _cells(self, features: ImageFeatures) -> tuple[Tensor, Tensor]:
        """Return per cell the key (B, K, h, w) and the place it points at (B, 2, h, w)."""
        embeddings, high_res = _maps(features)
        scale = float(int(high_res.shape[-1]) // int(embeddings.shape[-1]))  # constant: exported
        coarse = F.interpolate(
            self.key_coarse(embeddings), scale_factor=scale, mode="bilinear", align_corners=False
        )
        both = self.key_fine(high_res) + coarse
        height, width = (int(side) for side in both.shape[-2:])  # constants when exported
        cell = self.image_size_px / width / UNIT_PX
        y = (torch.arange(height, device=both.device, dtype=both.dtype) + 0.5) * cell
        x = (torch.arange(width, device=both.device, dtype=both.dtype) + 0.5) * cell
        here = torch.stack([x.expand(height, -1), y[:, None].expand(-1, width)])
        return both[:, :-2], here + both[:, -2:]


def _maps(features: ImageFeatures) -> tuple[Tensor, Tensor]:
    if features.high_res_features is None:
        raise ValueError("click maps need high-resolution features")
    return features.image_embeddings.float(), features.high_res_features.float()


def _query_head(in_channels: int, out_channels: int, *, num_queries: int = 1) -> nn.Sequential:
    hidden = 128
    last = nn.Linear(hidden, out_channels)
    with torch.no_grad():  # begin as discs of different sizes, wrong nowhere by much
        last.bias.zero_()
        start = last.bias.view(num_queries, -1)
        start[:, -4] = 1.0
        start[:, -3] = torch.linspace(-3.5, -0.5, num_queries) if num_queries > 1 else -2.0
        last.weight *= 0.3
    return nn.Sequential(
        nn.Linear(in_channels, hidden), nn.GELU(), nn.Linear(hidden, hidden), nn.GELU(), last
    )


def _compare(query: Tensor, middle: Tensor, keys: Tensor, places: Tensor) -> Tensor:
    """query (N, ..., K + 4) and middle (N, ..., 2) against 1 or N images' cells: (N, ..., h, w).

    The last four of a query: bias, log sharpness of the place term, shift of the middle.
    """
    appearance, bias = query[..., :-4], query[..., -4:-3]
    sharpness = query[..., -3:-2].clamp(max=_MAX_LOG_SHARPNESS).exp()
    centre = middle + query[..., -2:]
    # -s |place - centre|^2 opened up, so that all of it is one matrix product over the cells
    weights = torch.cat(
        [
            appearance * keys.shape[1] ** -0.5,
            2.0 * sharpness * centre,
            -sharpness,
            bias - sharpness * centre.square().sum(-1, keepdim=True),
        ],
        dim=-1,
    )
    square = places.square().sum(1, keepdim=True)
    cells = torch.cat([keys, places, square, torch.ones_like(square)], dim=1)
    flat = cells.flatten(2)
    if len(flat) == 1:
        logits: Tensor = weights @ flat[0]
    else:
        logits = (weights.flatten(1, -2) @ flat).unflatten(1, weights.shape[1:-1])  # type: ignore[no-untyped-call]
    maps: Tensor = logits.unflatten(-1, cells.shape[-2:])  # type: ignore[no-untyped-call]
    return maps  # not reshape: the export must keep N and P dynamic
