"""What a client does to the masks of its image, one operation of a batch at a time.

Each operation is a transaction of its own and answers for itself: a bad one loses no other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from engine.domain.errors import NotFound
from engine.domain.prompts import Prompt
from engine.domain.states import MaskStatus
from engine.models import Assignment, Mask, User
from engine.services.masks import masks, packed_masks
from engine.services.masks.masks import SavedMask
from masks.rle import Rle


class OperationOutcome(StrEnum):
    APPLIED = "applied"
    DUPLICATE = "duplicate"  # it had been applied before; nothing changed
    CONFLICT = "conflict"  # the mask had moved on: the revision is kept beside its head
    REFUSED = "refused"  # it can never be applied as it is


@dataclass(frozen=True, slots=True, kw_only=True)
class SaveOperation:
    mask_id: UUID
    revision_id: UUID
    base_revision_id: UUID | None
    rle: Rle
    prompts: Sequence[Prompt]
    label: str | None
    """None keeps the mask's own."""
    annotate_ms: int | None
    model_version_id: UUID | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewOperation:
    """verdict: ACCEPTED or REJECTED."""

    mask_id: UUID
    verdict: MaskStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    outcome: OperationOutcome
    mask: Mask
    saved: SavedMask | None = None


def apply_save(assignment: Assignment, operation: SaveOperation, *, actor: User) -> Applied:
    """Store a revision; see masks.save_mask for what it raises."""
    saved = masks.save_mask(
        assignment,
        actor=actor,
        mask_id=operation.mask_id,
        revision_id=operation.revision_id,
        base_revision_id=operation.base_revision_id,
        rle=operation.rle,
        prompts=operation.prompts,
        label=operation.label,
        annotate_ms=operation.annotate_ms,
        model_version_id=operation.model_version_id,
    )
    outcome = OperationOutcome.APPLIED
    if saved.conflict:
        outcome = OperationOutcome.CONFLICT
    elif saved.duplicate:
        outcome = OperationOutcome.DUPLICATE
    return Applied(outcome=outcome, mask=saved.mask, saved=saved)


def apply_review(assignment: Assignment, operation: ReviewOperation, *, actor: User) -> Applied:
    """Accept or reject a mask of the assignment's image. NotFound for a mask of another."""
    mask = packed_masks.find_mask(operation.mask_id)
    if mask is None or mask.image_id != assignment.image_id:
        raise NotFound("there is no such mask on this image")
    is_known = mask.status == operation.verdict and mask.reviewed_by_id is not None
    if operation.verdict == MaskStatus.ACCEPTED:
        mask = masks.accept_mask(mask, actor=actor)
    else:
        mask = masks.reject_mask(mask, actor=actor)
    return Applied(
        outcome=OperationOutcome.DUPLICATE if is_known else OperationOutcome.APPLIED, mask=mask
    )
