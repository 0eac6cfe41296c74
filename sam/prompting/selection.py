"""Which of the decoder's four masks answers a prompt: the only home of that rule.

Paper section A: one prompt is ambiguous, so the best of the three ambiguity masks by predicted
IoU; more than one prompt is not, so the single mask. A box says as much as two clicks do: it is
answered by the single mask, as the released code's own box example is. Of the three, those that
hold a background click come last, which is only ever one clicked alone: a model with prompt maps
answers that with nothing (`sam.click_rules`), an official one with about everything.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from sam.prompts import Decoded

SINGLE_MASK = 0
PROMPTS_PER_BOX = 2
PROMPTS_PER_MASK = 2
"""A mask to refine says which object is meant: it is as little ambiguous as a box."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """One mask per prompt set: index (N,), low_res_logits (N, S/4, S/4), predicted_iou (N,)."""

    index: Tensor
    low_res_logits: Tensor
    predicted_iou: Tensor


def choose(
    decoded: Decoded, num_prompts: int | Tensor, *, is_crossed: Tensor | None = None
) -> Chosen:
    """Pick one mask per prompt set.

    num_prompts: a click counts one, a box and an input mask two; one number for all or (N,).
    is_crossed: (N, 4) bool, which masks hold a background click; None: no one.
    """
    iou = decoded.predicted_iou
    ranks = iou[:, 1:]
    if is_crossed is not None:
        crossed = is_crossed[:, 1:]
        ranks = ranks.masked_fill(crossed & ~crossed.all(1, keepdim=True), -torch.inf)
    best = 1 + ranks.argmax(dim=1)
    is_clear = torch.as_tensor(num_prompts, device=iou.device) > 1
    return take(decoded, torch.where(is_clear, torch.full_like(best, SINGLE_MASK), best))


def best_of_three(decoded: Decoded) -> Chosen:
    """Pick the ambiguity mask with the highest predicted IoU."""
    return take(decoded, 1 + decoded.predicted_iou[:, 1:].argmax(dim=1))


def take(decoded: Decoded, index: Tensor) -> Chosen:
    """Pick the mask with the given index (N,) in 0..3."""
    rows = torch.arange(index.shape[0], device=index.device)
    return Chosen(index, decoded.low_res_logits[rows, index], decoded.predicted_iou[rows, index])
