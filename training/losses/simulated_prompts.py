"""Simulated people: first clicks, noised boxes, corrections, and the order of the passes.

Everything is drawn from the given torch.Generator, so one seed gives the same prompts.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from training.losses.counting import count_true

NUM_CORRECTIONS = 8
"""Correction clicks after the first prompt (paper section A)."""
BOX_NOISE_SHARE = 0.1
MAX_BOX_NOISE_PX = 20.0


class Pass(enum.Enum):
    """What a decoder pass gets that the one before did not."""

    FIRST = "first"
    CORRECTION = "correction"
    MASK_ONLY = "mask_only"


def pass_schedule(
    *, num_corrections: int = NUM_CORRECTIONS, mask_only_passes: int = 2, generator: torch.Generator
) -> list[Pass]:
    """Return the kinds of the passes in order (paper section A).

    With eight corrections: a first prompt, the corrections, and two passes without a new click,
    one at a random position among the corrections and one always last; 11 in all. Fewer
    mask-only passes leave out the random one first.
    """
    if num_corrections < 0 or mask_only_passes not in (0, 1, 2):
        raise ValueError("a schedule has no negative count and at most two mask-only passes")
    passes = [Pass.CORRECTION] * num_corrections
    if mask_only_passes == 2:
        position = int(torch.randint(num_corrections + 1, (1,), generator=generator))
        passes.insert(position, Pass.MASK_ONLY)
    if mask_only_passes:
        passes.append(Pass.MASK_ONLY)
    return [Pass.FIRST, *passes]


def points_in(masks_nhw: Tensor, *, generator: torch.Generator) -> Tensor:
    """Draw one pixel uniformly from each mask: (N, H, W) bool -> (N, 2) float x, y.

    A mask without pixels gives its frame's middle; callers that care check first.
    """
    return _points_in(masks_nhw, count_true(masks_nhw), generator=generator)


def _points_in(masks_nhw: Tensor, by_row: Tensor, *, generator: torch.Generator) -> Tensor:
    """Draw a pixel; by_row: (N, H) how many the rows of each mask have."""
    num, height, width = masks_nhw.shape
    totals = by_row.sum(-1)
    uniform = torch.rand(num, generator=generator).to(masks_nhw.device)
    rank = (uniform * totals).floor().long().clamp(max=(totals - 1).clamp(min=0))
    until_row = by_row.cumsum(-1)
    rows = (until_row <= rank[:, None]).sum(-1).clamp(max=height - 1)
    each = torch.arange(num, device=masks_nhw.device)
    within = rank - (until_row[each, rows] - by_row[each, rows])
    until_col = masks_nhw[each, rows].cumsum(-1)
    cols = (until_col <= within[:, None]).sum(-1).clamp(max=width - 1)
    drawn = torch.stack([cols, rows], dim=-1).float()
    middle = drawn.new_tensor([width // 2, height // 2])
    return torch.where((totals > 0)[:, None], drawn, middle)


def central_points_in(masks_nhw: Tensor, *, generator: torch.Generator, tries: int = 6) -> Tensor:
    """Draw a pixel that tends to the inside of each mask: the deepest of `tries` uniform ones.

    People, and the paper's evaluation, click in the middle; depth is the share of the mask in
    windows of 12, 36 and 108 pixels around. Same shapes as `points_in`.
    """
    by_row = count_true(masks_nhw)
    drawn = torch.stack([_points_in(masks_nhw, by_row, generator=generator) for _ in range(tries)])
    cells = F.avg_pool2d(masks_nhw.float().unsqueeze(1), 4, ceil_mode=True)
    depth = torch.zeros_like(cells)
    for window in (3, 9, 27):
        in_rows = F.avg_pool2d(cells, (1, window), stride=1, padding=(0, window // 2))
        depth += F.avg_pool2d(in_rows, (window, 1), stride=1, padding=(window // 2, 0))
    spots = (drawn / 4).long()
    each = torch.arange(masks_nhw.shape[0], device=masks_nhw.device)
    best = depth[each, 0, spots[..., 1], spots[..., 0]].argmax(0)
    return drawn[best, each]


def clicks_in(
    masks_nhw: Tensor, *, generator: torch.Generator, central_share: float = 0.0
) -> Tensor:
    """Draw one click in each mask; a share of them tends to the middle, the rest is uniform."""
    uniform = points_in(masks_nhw, generator=generator)
    if not central_share:
        return uniform
    central = central_points_in(masks_nhw, generator=generator)
    is_central = torch.rand(len(masks_nhw), generator=generator).to(masks_nhw.device)
    return torch.where((is_central < central_share)[:, None], central, uniform)


def boxes_of_masks(masks_nhw: Tensor) -> Tensor:
    """Return each mask's tight box (N, 4) float x0, y0, x1, y1: edges, so x1 - x0 is its width.

    As annotators draw boxes and COCO stores them; pixel indices would make every box one short.
    """
    in_cols, in_rows = masks_nhw.any(1), masks_nhw.any(2)
    x0, y0 = in_cols.int().argmax(-1), in_rows.int().argmax(-1)
    x1 = in_cols.shape[-1] - in_cols.flip(-1).int().argmax(-1)
    y1 = in_rows.shape[-1] - in_rows.flip(-1).int().argmax(-1)
    return torch.stack([x0, y0, x1, y1], dim=-1).float()


def noised_boxes(
    boxes_xyxy: Tensor,
    *,
    image_hw: Sequence[int],
    generator: torch.Generator,
    share: float = BOX_NOISE_SHARE,
    max_noise_px: float = MAX_BOX_NOISE_PX,
    is_uniform: bool = False,
    exact_share: float = 0.0,
) -> Tensor:
    """Shake each coordinate by normal noise of 10 % of the box side, at most 20 px.

    Paper section A; widths shake x and heights y. Boxes stay ordered and inside the image.
    is_uniform: noise uniform between +/- min(share * side, max_noise_px) instead, as in SAM 2.
    exact_share: the part of the boxes that is left as it is.
    """
    sides = (boxes_xyxy[:, 2:] - boxes_xyxy[:, :2]).repeat(1, 2)
    if is_uniform:
        drawn = torch.rand(boxes_xyxy.shape, generator=generator) * 2 - 1
        noise = drawn.to(boxes_xyxy.device) * (share * sides).clamp(max=max_noise_px)
    else:
        drawn = torch.randn(boxes_xyxy.shape, generator=generator)
        noise = drawn.to(boxes_xyxy.device) * share * sides
        noise = noise.clamp(-max_noise_px, max_noise_px)
    if exact_share:
        is_exact = torch.rand(len(boxes_xyxy), generator=generator).to(noise.device) < exact_share
        noise = noise.masked_fill(is_exact[:, None], 0.0)
    limit = boxes_xyxy.new_tensor([image_hw[1], image_hw[0]] * 2)
    shaken = torch.minimum((boxes_xyxy + noise).clamp(min=0), limit)
    low = torch.minimum(shaken[:, :2], shaken[:, 2:])
    return torch.cat([low, torch.maximum(shaken[:, :2], shaken[:, 2:])], dim=-1)


def corrections(
    predicted_nhw: Tensor,
    truth_nhw: Tensor,
    *,
    generator: torch.Generator,
    central_share: float = 0.0,
) -> tuple[Tensor, Tensor]:
    """Draw one click per mask, uniformly from where prediction and truth differ.

    Returns (N, 2) float x, y and (N,) int64 labels: 1 where the mask misses the object, 0 where
    it spills over. Without any error the click is a background pixel, labelled 0 (as in SAM 2's
    published training), or, when the object fills the frame, a foreground one.
    """
    errors = predicted_nhw ^ truth_nhw
    flat = errors.flatten(1)
    fallback = ~truth_nhw | truth_nhw.flatten(1).all(1)[:, None, None]
    region = torch.where(flat.any(1)[:, None, None], errors, fallback)
    points = clicks_in(region, generator=generator, central_share=central_share)
    each = torch.arange(len(points), device=points.device)
    labels = truth_nhw[each, points[:, 1].long(), points[:, 0].long()].long()
    return points, labels
