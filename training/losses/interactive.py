"""The interactive loss: a simulated annotator clicks, looks, and corrects (paper section A).

One image and its masks at a time; the encoder ran once, before.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor

from sam.modeling.features import ImageFeatures
from sam.modeling.model import Sam
from sam.prompts import BOX_LABELS, PADDING_LABEL, Decoded, Prompts
from training.loop.config import InteractiveConfig
from training.losses.mask_losses import iou_loss, mask_iou, mask_loss, order_loss
from training.losses.simulated_prompts import (
    Pass,
    boxes_of_masks,
    clicks_in,
    corrections,
    noised_boxes,
    pass_schedule,
)

IS_SINGLE = torch.tensor([True, False, False, False])


@dataclass(frozen=True, slots=True)
class InteractiveLoss:
    """The summed loss of all passes, averaged over masks, and what it is made of.

    iou_by_pass: mean IoU of the carried mask after each pass.
    best_iou: mean IoU of the best of the three masks of the first pass.
    """

    total: Tensor
    mask: float
    iou: float
    best_iou: float
    iou_by_pass: tuple[float, ...]


@dataclass(slots=True)
class _Session:
    """What the simulated annotators have given so far, one row per mask."""

    coords: Tensor
    labels: Tensor
    logits: Tensor | None = None
    carried: list[float] = field(default_factory=list)

    def correct(
        self, truth_nss: Tensor, *, config: InteractiveConfig, generator: torch.Generator
    ) -> None:
        if self.logits is None:
            raise RuntimeError("there is nothing to correct before the first pass")
        predicted = upscaled(self.logits.detach(), size_px=truth_nss.shape[-1])[:, 0] > 0
        points, labels = corrections(
            predicted, truth_nss, generator=generator, central_share=config.central_share
        )
        self.coords = torch.cat([self.coords, points[:, None]], dim=1)
        self.labels = torch.cat([self.labels, labels[:, None]], dim=1)

    def used_masks(self, *, is_first: bool, box_is_clear: bool) -> Tensor:
        """Say which of the four masks answer the prompts: (N, 4) bool."""
        is_single = IS_SINGLE.to(self.labels.device).expand(len(self.labels), -1)
        if not is_first:
            return is_single
        has_box = (self.labels == BOX_LABELS[0]).any(1, keepdim=True)
        return torch.where(has_box & box_is_clear, is_single, ~is_single)

    def prompts(self) -> Prompts:
        return Prompts(self.coords, self.labels, self.logits)

    def last_answer_alone(self, generator: torch.Generator) -> Prompts:
        """Withhold all but the last answer; none to two padding points, as callers differ."""
        num_padding = int(torch.randint(3, (1,), generator=generator))
        coords = torch.zeros_like(self.coords[:, :num_padding])
        labels = torch.full_like(self.labels[:, :num_padding], PADDING_LABEL)
        return Prompts(coords, labels, self.logits)


def interactive_loss(
    model: Sam,
    features: ImageFeatures,
    masks_nss: Tensor,
    config: InteractiveConfig,
    generator: torch.Generator,
    *,
    on_pass: Callable[[Tensor], object] | None = None,
) -> InteractiveLoss:
    """Run the passes of one image's masks and return the loss to back-propagate.

    features: of one image. masks_nss: (N, S, S) bool in the padded model frame, none empty.
    The first pass trains the best of the three ambiguity masks, later ones the single mask; a box
    may count as clear at once (`InteractiveConfig.box_is_clear`);
    the mask with the highest predicted IoU is carried on, its logits fed back detached unless
    the config says otherwise.
    on_pass: gets each pass's own loss, to back-propagate at once: eleven passes then need the
    memory of one. The returned total carries no gradient in that case.
    """
    if masks_nss.ndim != 3 or masks_nss.dtype != torch.bool or not len(masks_nss):
        raise ValueError("interactive_loss takes boolean masks (N, S, S), N at least 1")
    targets = _targets(masks_nss, stride_px=model.config.low_res_stride_px, config=config)
    session = _first_prompts(masks_nss, config=config, generator=generator)
    mask_total, iou_total = targets.new_zeros(()), targets.new_zeros(())
    best_iou = 0.0
    for kind in _schedule(config, generator):
        if kind is Pass.CORRECTION:
            session.correct(masks_nss, config=config, generator=generator)
        prompts = session.prompts()
        if kind is Pass.MASK_ONLY and config.mask_alone_share:
            is_alone = float(torch.rand(1, generator=generator)) < config.mask_alone_share
            prompts = session.last_answer_alone(generator) if is_alone else prompts
        decoded = model.decode(features, prompts, is_learning=True)
        used = session.used_masks(is_first=kind is Pass.FIRST, box_is_clear=config.box_is_clear)
        outcome = _supervise(decoded, targets, masks_nss, used=used, config=config)
        mask_part, iou_part = outcome.mask_loss.mean(), outcome.iou_loss.mean()
        if on_pass is not None and not config.gradient_through_logits:
            on_pass(mask_part + config.iou_weight * iou_part)
            mask_part, iou_part = mask_part.detach(), iou_part.detach()
        mask_total, iou_total = mask_total + mask_part, iou_total + iou_part
        if kind is Pass.FIRST:
            best_iou = outcome.true_iou.masked_fill(~used, 0.0).amax(1).mean().item()
        pick = decoded.predicted_iou.detach().masked_fill(~used, -torch.inf).argmax(1)
        each = torch.arange(len(pick), device=pick.device)
        carried = decoded.low_res_logits[each, pick].unsqueeze(1).float()
        session.logits = carried if config.gradient_through_logits else carried.detach()
        session.carried.append(outcome.true_iou[each, pick].mean().item())
    if on_pass is not None and config.gradient_through_logits:
        on_pass(mask_total + config.iou_weight * iou_total)
        mask_total, iou_total = mask_total.detach(), iou_total.detach()
    return InteractiveLoss(
        total=mask_total + config.iou_weight * iou_total,
        mask=mask_total.item(),
        iou=iou_total.item(),
        best_iou=best_iou,
        iou_by_pass=tuple(session.carried),
    )


def low_res_targets(masks_nss: Tensor, *, stride_px: int) -> Tensor:
    """Return the covered share of each mask cell: (N, S, S) bool -> (N, S/4, S/4) float."""
    return F.avg_pool2d(masks_nss.float().unsqueeze(1), stride_px).squeeze(1)


def _targets(masks_nss: Tensor, *, stride_px: int, config: InteractiveConfig) -> Tensor:
    if config.loss_frame == "model":
        return masks_nss.float()
    return low_res_targets(masks_nss, stride_px=stride_px)


def upscaled(low_res_logits: Tensor, *, size_px: int) -> Tensor:
    """Return logits at model resolution, as the predictor sees them."""
    return F.interpolate(
        low_res_logits.float(), (size_px, size_px), mode="bilinear", align_corners=False
    )


@dataclass(frozen=True, slots=True)
class _Outcome:
    mask_loss: Tensor  # (N,)
    iou_loss: Tensor  # (N,)
    true_iou: Tensor  # (N, 4), 0 where no mask of the pass is used


def _supervise(
    decoded: Decoded,
    targets: Tensor,
    masks_nss: Tensor,
    *,
    used: Tensor,
    config: InteractiveConfig,
) -> _Outcome:
    logits = decoded.low_res_logits.float()
    in_model_frame = config.loss_frame == "model"
    with torch.no_grad():
        asked = used.any(0)  # later passes use the single mask alone
        full = upscaled(logits[:, asked], size_px=masks_nss.shape[-1])
        true_iou = logits.new_zeros(used.shape)
        true_iou[:, asked] = mask_iou(full, masks_nss[:, None])
        losses = logits.new_full(used.shape, torch.inf)
        compared = full if in_model_frame else logits[:, asked]
        losses[:, asked] = _mask_losses(compared, targets[:, None], config)
        winner = losses.masked_fill(~used, torch.inf).argmin(1)
    each = torch.arange(len(winner), device=winner.device)
    # Only the best mask's loss is built for gradients: the others would get none anyway.
    chosen = logits[each, winner]
    if in_model_frame:
        chosen = upscaled(chosen[:, None], size_px=masks_nss.shape[-1])[:, 0]
    best = _mask_losses(chosen, targets, config)
    errors = iou_loss(decoded.predicted_iou.float(), true_iou)
    mean_error = (errors * used).sum(1) / used.sum(1)
    iou = mean_error if config.supervise_all_ious else errors[each, winner]
    if config.rank_weight:
        order = order_loss(decoded.predicted_iou[:, 1:].float(), true_iou[:, 1:])
        iou = iou + config.rank_weight * order * used[:, 1]  # where the three are asked
    return _Outcome(mask_loss=best, iou_loss=iou, true_iou=true_iou)


def _mask_losses(logits: Tensor, targets: Tensor, config: InteractiveConfig) -> Tensor:
    return mask_loss(
        logits,
        targets,
        focal_weight=config.focal_weight,
        dice_weight=config.dice_weight,
        focal_alpha=config.focal_alpha,
        focal_gamma=config.focal_gamma,
    )


def _schedule(config: InteractiveConfig, generator: torch.Generator) -> list[Pass]:
    count = config.num_corrections
    if config.min_corrections is not None:
        low = min(config.min_corrections, count)
        count = int(torch.randint(low, count + 1, (1,), generator=generator))
    return pass_schedule(
        num_corrections=count,
        mask_only_passes=config.mask_only_passes if count else 0,
        generator=generator,
    )


def _first_prompts(
    masks_nss: Tensor, *, config: InteractiveConfig, generator: torch.Generator
) -> _Session:
    """Give each mask a foreground click and padding, or a noised box: two points either way."""
    size = masks_nss.shape[-1]
    device = masks_nss.device
    points = clicks_in(masks_nss, generator=generator, central_share=config.central_share)
    boxes = noised_boxes(
        boxes_of_masks(masks_nss),
        image_hw=(size, size),
        generator=generator,
        share=config.box_noise_share,
        max_noise_px=config.max_box_noise_px,
        is_uniform=config.box_noise == "uniform",
        exact_share=config.exact_box_share,
    )
    is_box = (torch.rand(len(masks_nss), generator=generator) < config.box_share).to(device)
    by_click = torch.stack([points, torch.zeros_like(points)], dim=1)
    coords = torch.where(is_box[:, None, None], boxes.reshape(-1, 2, 2), by_click)
    click_labels = torch.tensor([1, PADDING_LABEL], device=device)
    box_labels = torch.tensor(BOX_LABELS, device=device)
    labels = torch.where(is_box[:, None], box_labels, click_labels)
    return _Session(coords=coords, labels=labels)
