"""The losses of promptable segmentation: focal, dice and the error of predicted IoU.

Constants: 20 : 1 for focal : dice from paper section A; alpha and gamma are Meta's usual ones.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from training.losses.counting import count_true

FOCAL_ALPHA = 0.25
FOCAL_GAMMA = 2.0
DICE_SMOOTHING = 1.0


def focal_loss(
    logits: Tensor, targets: Tensor, *, alpha: float = FOCAL_ALPHA, gamma: float = FOCAL_GAMMA
) -> Tensor:
    """Return the focal loss of each mask, averaged over its pixels.

    logits, targets: (..., H, W) of shapes that broadcast; targets in [0, 1]. Returns (...).
    """
    probability = logits.sigmoid()
    entropy = F.softplus(logits) - targets * logits  # binary cross entropy, from the logit
    missing = probability + targets - 2 * probability * targets  # 1 - p of the true class
    modulation = missing * missing if gamma == 2 else missing.pow(gamma)  # pow is 3x slower
    weight = (1 - alpha) + (2 * alpha - 1) * targets
    return (weight * modulation * entropy).mean((-2, -1))


def dice_loss(logits: Tensor, targets: Tensor, *, smoothing: float = DICE_SMOOTHING) -> Tensor:
    """Return one minus the soft dice overlap of each mask: (..., H, W) -> (...)."""
    probability = logits.sigmoid()
    common = (probability * targets).sum((-2, -1))
    total = probability.sum((-2, -1)) + targets.sum((-2, -1))
    return 1 - (2 * common + smoothing) / (total + smoothing)


def mask_loss(
    logits: Tensor,
    targets: Tensor,
    *,
    focal_weight: float = 20.0,
    dice_weight: float = 1.0,
    focal_alpha: float = FOCAL_ALPHA,
    focal_gamma: float = FOCAL_GAMMA,
) -> Tensor:
    """Return focal_weight * focal + dice_weight * dice of each mask: (..., H, W) -> (...)."""
    focal = focal_loss(logits, targets, alpha=focal_alpha, gamma=focal_gamma)
    return focal_weight * focal + dice_weight * dice_loss(logits, targets)


def mask_iou(logits: Tensor, targets: Tensor) -> Tensor:
    """Return the IoU of masks cut at logit 0 with boolean targets: (..., H, W) -> (...).

    Two empty masks agree: IoU 1.
    """
    predicted = logits > 0
    common = count_true(predicted & targets).sum(-1)
    union = count_true(predicted).sum(-1) + count_true(targets).sum(-1) - common
    return torch.where(
        union > 0, common / union.clamp(min=1), torch.ones_like(common, dtype=torch.float32)
    )


def iou_loss(predicted_iou: Tensor, true_iou: Tensor) -> Tensor:
    """Return the squared error of each predicted IoU; the truth passes no gradient."""
    return (predicted_iou - true_iou.detach()).square()


def order_loss(predicted_iou: Tensor, true_iou: Tensor, *, scale: float = 0.1) -> Tensor:
    """Return how wrongly the masks of a prompt are ordered: (N, M) of both -> (N,).

    The cross-entropy of the softmax of predicted IoU against that of true IoU, both divided by
    `scale`: the order decides which mask is shown, and a squared error hardly sees it. The truth
    passes no gradient.
    """
    wanted = (true_iou.detach() / scale).softmax(-1)
    return -(wanted * (predicted_iou / scale).log_softmax(-1)).sum(-1)
