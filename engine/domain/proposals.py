"""A machine's masks before anybody confirmed them, and which are worth showing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from engine.domain.policy import Policy
from engine.domain.states import MaskSource
from masks.overlap import mask_iou
from masks.rle import Rle

Box = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """One machine-made mask of an image. Scores are 0 to 1."""

    rle: Rle
    predicted_iou: float
    stability_score: float | None = None
    prompts: Sequence[dict[str, Any]] = field(default_factory=tuple)


def worth_showing(
    proposals: Sequence[Proposal],
    *,
    existing: Iterable[Rle],
    source: MaskSource,
    policy: Policy,
) -> list[int]:
    """Return indices of the proposals that are sound and say something new, best first.

    existing: the masks the image already has. Of two proposals that overlap, the one the model
    rates higher stays; ties go to the earlier one.
    """
    seen = [(rle, rle.bbox_xywh_px) for rle in existing]
    kept = []
    for index in sorted(range(len(proposals)), key=lambda i: -proposals[i].predicted_iou):
        proposal = proposals[index]
        if not is_sound(proposal, source=source, policy=policy):
            continue
        box = proposal.rle.bbox_xywh_px
        if all(
            not _touch(box, other_box) or mask_iou(proposal.rle, other) < policy.duplicate_iou
            for other, other_box in seen
        ):
            kept.append(index)
            seen.append((proposal.rle, box))
    return kept


def is_sound(proposal: Proposal, *, source: MaskSource, policy: Policy) -> bool:
    """Tell whether a proposal passes the thresholds on its own.

    Automatic masks were filtered by score where they were made (sam/automatic/mask_generator.py).
    """
    rle = proposal.rle
    min_area_px = policy.min_area_of(height_px=rle.height_px, width_px=rle.width_px)
    num_pixels = rle.height_px * rle.width_px
    if not min_area_px <= rle.area_px < policy.max_area_fraction * num_pixels:
        return False
    if source == MaskSource.AUTOMATIC:
        return True
    stability = 1.0 if proposal.stability_score is None else proposal.stability_score
    return (
        proposal.predicted_iou >= policy.prefill_min_predicted_iou
        and stability >= policy.prefill_min_stability_score
    )


def _touch(a: Box, b: Box) -> bool:
    return a[0] < b[0] + b[2] and b[0] < a[0] + a[2] and a[1] < b[1] + b[3] and b[1] < a[1] + a[3]
