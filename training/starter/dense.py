"""The dense loss: every prompt answered at once by the click maps, without the decoder.

It teaches the encoder what belongs together at a fraction of a decoder pass's cost; trained
through the decoder alone from scratch, masks collapse to nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from sam.modeling.click_maps import ClickMaps
from sam.modeling.features import ImageFeatures
from training.losses.interactive import low_res_targets
from training.losses.mask_losses import mask_iou, mask_loss
from training.losses.simulated_prompts import boxes_of_masks, clicks_in, noised_boxes

LOSER_SHARE = 0.05


@dataclass(frozen=True, slots=True)
class DenseResult:
    """Loss of some masks and the mean IoU of the best candidate per click and of the box's."""

    loss: Tensor
    click_iou: float
    box_iou: float


def dense_loss(
    click_maps: ClickMaps,
    features: ImageFeatures,
    masks_nss: Tensor,
    *,
    generator: torch.Generator,
    clicks_per_mask: int = 1,
    exact_box_share: float = 0.0,
) -> DenseResult:
    """Return the loss of clicks and a noised box per mask.

    features: of the one image of all masks (N, S, S), or of each mask's image.
    Only the best of a click's three candidates learns, so they part into whole and parts.
    """
    size = masks_nss.shape[-1]
    targets = low_res_targets(masks_nss, stride_px=4)
    points = torch.stack(
        [
            clicks_in(masks_nss, generator=generator, central_share=0.5)
            for _ in range(clicks_per_mask)
        ],
        dim=1,
    )
    jitter = torch.rand(points.shape, generator=generator).to(points.device) - 0.5
    boxes = noised_boxes(
        boxes_of_masks(masks_nss),
        image_hw=(size, size),
        generator=generator,
        exact_share=exact_box_share,
    )
    by_click, by_box = click_maps.logits(points + jitter, boxes, features)
    by_click, by_box = limited(by_click.flatten(0, 1)), limited(by_box)
    truths = targets.repeat_interleave(clicks_per_mask, 0)
    with torch.no_grad():
        winner = mask_loss(by_click, truths[:, None]).argmin(-1)
        hard = truths[:, None] >= 0.5
        click_iou = mask_iou(by_click, hard).amax(-1).mean()
        box_iou = mask_iou(by_box[:, 0], targets >= 0.5).mean()
        # now and then a loser learns too, or a candidate that never wins never starts to
        lucky = torch.rand(winner.shape, generator=generator).to(winner.device) < LOSER_SHARE
        other = torch.randint(by_click.shape[1], winner.shape, generator=generator)
        other = other.to(winner.device)
        chosen = torch.where(lucky, other, winner)
    picked = by_click[torch.arange(len(chosen), device=chosen.device), chosen]
    loss = mask_loss(picked, truths).mean() + 0.5 * mask_loss(by_box[:, 0], targets).mean()
    return DenseResult(loss=loss, click_iou=float(click_iou), box_iou=float(box_iou))


def limited(logits: Tensor, *, bound: float = 8.0, leak: float = 0.03) -> Tensor:
    """Flatten logits beyond the bound: a misplaced candidate must not outweigh all others."""
    inside = logits.clamp(-bound, bound)
    return inside + leak * (logits - inside)
