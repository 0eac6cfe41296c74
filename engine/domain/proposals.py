"""A machine's masks before anybody confirmed them, and which are worth showing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from engine.domain.policy import Policy
from masks.overlap import mask_iou
from masks.rle import Rle


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """One machine-made mask of an image. Scores are 0 to 1."""

    rle: Rle
    predicted_iou: float
    stability_score: float | None = None
    prompts: Sequence[dict[str, Any]] = field(default_factory=tuple)


def worth_showing(
    proposals: Sequence[Proposal], *, existing: Sequence[Rle], policy: Policy
) -> list[Proposal]:
    """Keep the sure, stable, sanely sized proposals that say something new, best first.

    `existing` are the masks the image already has. Cost: one IoU a pair whose boxes may overlap.
    """
    kept: list[Proposal] = []
    for proposal in sorted(proposals, key=lambda one: -one.predicted_iou):
        if not is_sound(proposal, policy=policy):
            continue
        seen = [*existing, *(one.rle for one in kept)]
        if all(mask_iou(proposal.rle, other) < policy.duplicate_iou for other in seen):
            kept.append(proposal)
    return kept


def is_sound(proposal: Proposal, *, policy: Policy) -> bool:
    """Tell whether the proposal passes the thresholds of paper section B on its own."""
    area_px = proposal.rle.area_px
    num_pixels = proposal.rle.height_px * proposal.rle.width_px
    return (
        proposal.predicted_iou >= policy.min_predicted_iou
        and (
            proposal.stability_score is None
            or proposal.stability_score >= policy.min_stability_score
        )
        and policy.min_area_px <= area_px < policy.max_area_fraction * num_pixels
    )
