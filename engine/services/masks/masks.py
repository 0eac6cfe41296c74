"""Keep what people draw, and their reviews. Nothing a person sends is refused for being late."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast
from uuid import UUID

from django.db import IntegrityError, transaction

from engine.domain.errors import Conflict, InvalidInput, NotAllowed, NotFound
from engine.domain.limits import MAX_ANNOTATE_MS, MAX_LABEL_CHARACTERS, MAX_MASKS_PER_IMAGE
from engine.domain.prompts import Prompt, dump_prompts, parse_prompts
from engine.domain.roles import Permission
from engine.domain.states import (
    AssignmentStatus,
    MaskSource,
    MaskStatus,
    RevisionKind,
)
from engine.models import Assignment, Image, Mask, MaskRevision, ModelVersion, User
from engine.services.images.split import fix_split
from engine.services.masks import assignments, packed_masks
from engine.services.masks.proposed_masks import record_proposals
from engine.services.masks.shapes import checked_rle, shape_columns
from engine.services.people.roles import require
from engine.services.text import clean_line
from engine.services.transitions import move
from masks.rle import Rle

__all__ = ["SavedMask", "accept_mask", "record_proposals", "reject_mask", "save_mask"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedMask:
    """The answer to a save.

    duplicate: this revision was stored before; the answer is the same as then.
    conflict: the mask had moved on; the revision is kept beside its head, which is unchanged.
    """

    mask: Mask
    revision: MaskRevision
    duplicate: bool
    conflict: bool


def save_mask(
    assignment: Assignment,
    *,
    actor: User,
    mask_id: UUID,
    revision_id: UUID,
    base_revision_id: UUID | None = None,
    rle: Rle,
    prompts: Sequence[Prompt | Mapping[str, Any]],
    label: str | None = None,
    annotate_ms: int | None = None,
    model_version_id: UUID | None = None,
) -> SavedMask:
    """Store one revision of a mask, made by a person. Ids are the client's, so a retry is safe.

    The same revision id again answers the same (Conflict when its content differs). A base that
    is not the mask's head is stored as a sibling revision with conflict=True. An assignment that
    is over still takes its annotator's masks. InvalidInput: empty mask, other size, bad prompts.
    label: None keeps the mask's own, an empty one takes it off.
    """
    if assignment.annotator_id != actor.pk:
        raise NotAllowed("this assignment belongs to somebody else")
    image = assignment.image
    rle = checked_rle(rle, image=image)
    parsed = parse_prompts(prompts, width_px=image.width_px, height_px=image.height_px)
    revision = MaskRevision(
        pk=revision_id,
        mask_id=mask_id,
        parent_id=base_revision_id,
        prompts=dump_prompts(parsed),
        author=actor,
        assignment=assignment,
        model_version=_model_version(model_version_id, image=image),
        annotate_ms=_checked_ms(annotate_ms),
        **shape_columns(rle),
    )
    if label is not None:
        label = clean_line(label, what="the label", max_characters=MAX_LABEL_CHARACTERS)
    try:
        with transaction.atomic():
            _lock(image)
            saved = _stored_before(revision) or _store(revision, image=image, label=label)
            if assignment.status == AssignmentStatus.LEASED:
                _keep_lease(assignment, actor=actor)
            return saved
    except IntegrityError:  # the same ids arrived on another image at the same moment
        if saved_there := _stored_before(revision):
            return saved_there
        _require_image(Mask.objects.filter(pk=mask_id).first(), image=image)
        raise


@transaction.atomic
def accept_mask(mask: Mask, *, actor: User) -> Mask:
    """Confirm a mask; accepting an accepted one records who stands behind it."""
    image = _lock_of(mask, actor=actor)
    mask.refresh_from_db()
    if mask.status != MaskStatus.ACCEPTED:
        move(mask, MaskStatus.ACCEPTED, actor=actor, changes={"reviewed_by": actor})
    else:
        _note_reviewer(mask, actor=actor)
    fix_split(image)
    return mask


@transaction.atomic
def reject_mask(mask: Mask, *, actor: User) -> Mask:
    """Take a mask out; its revisions stay. Rejecting a rejected one changes nothing."""
    _lock_of(mask, actor=actor)
    mask.refresh_from_db()
    if mask.status != MaskStatus.REJECTED:
        move(mask, MaskStatus.REJECTED, actor=actor, changes={"reviewed_by": actor})
    return mask


def _stored_before(revision: MaskRevision) -> SavedMask | None:
    stored = MaskRevision.objects.filter(pk=revision.pk).select_related("mask").first()
    if stored is None:
        return None
    same = ("mask_id", "rle_sha256", "prompts", "author_id")
    if any(getattr(stored, name) != getattr(revision, name) for name in same):
        raise Conflict(
            "this revision id was used before for something else", code="revision_id_reused"
        )
    is_beside = not _is_in_history(stored, mask=stored.mask)
    return SavedMask(mask=stored.mask, revision=stored, duplicate=True, conflict=is_beside)


def _is_in_history(revision: MaskRevision, *, mask: Mask) -> bool:
    """Tell whether the revision is the mask's head or an ancestor of it."""
    parents = dict(mask.revisions.values_list("pk", "parent_id"))
    current: UUID | None = mask.head_id
    while current is not None and current != revision.pk:
        current = parents.get(current)
    return current == revision.pk


def _store(revision: MaskRevision, *, image: Image, label: str | None) -> SavedMask:
    mask = Mask.objects.filter(pk=revision.mask_id).first()
    conflict = False
    if mask is None:
        mask = _create(revision, image=image, label=label)
    else:
        _require_image(mask, image=image)
        conflict = not _append(revision, mask=mask, label=label)
    if not conflict:
        fix_split(image)
    return SavedMask(mask=mask, revision=revision, duplicate=False, conflict=conflict)


def _create(revision: MaskRevision, *, image: Image, label: str | None) -> Mask:
    """Store a new mask with its first revision, whatever base the client thought it had."""
    num_masks = image.masks.count()
    if num_masks >= MAX_MASKS_PER_IMAGE:
        raise InvalidInput(f"an image has at most {MAX_MASKS_PER_IMAGE} masks")
    assignment = cast("Assignment", revision.assignment)
    mask = Mask.objects.create(
        pk=revision.mask_id,
        image=image,
        stage_id=assignment.stage_id,
        source=MaskSource.HUMAN.value,
        status=MaskStatus.ACCEPTED.value,
        head_id=revision.pk,
        label=label or "",
        order=num_masks,
    )
    revision.parent = None
    revision.kind = RevisionKind.CREATE.value
    revision.save(force_insert=True)
    return mask


def _append(revision: MaskRevision, *, mask: Mask, label: str | None) -> bool:
    """Add a revision to a mask; True when it became the head, False when it lies beside it."""
    base_id = revision.parent_id
    if base_id is not None and not mask.revisions.filter(pk=base_id).exists():
        revision.parent = None
    revision.kind = RevisionKind.EDIT.value
    revision.save(force_insert=True)
    if base_id != mask.head_id:
        return False
    label = mask.label if label is None else label
    Mask.objects.filter(pk=mask.pk).update(head=revision, label=label, reviewed_by=None)
    mask.refresh_from_db()
    if mask.status != MaskStatus.ACCEPTED:
        move(mask, MaskStatus.ACCEPTED, actor=revision.author, reason="drawn over")
    return True


def _require_image(mask: Mask | None, *, image: Image) -> None:
    if mask is not None and mask.image_id != image.pk:
        raise Conflict("this mask id belongs to another image", code="mask_id_reused")


def _keep_lease(assignment: Assignment, *, actor: User) -> None:
    try:
        with transaction.atomic():
            assignments.extend_lease(assignment, actor=actor)
    except Conflict:
        return  # it ended a moment ago; the mask is kept all the same


def _lock(image: Image) -> None:
    """Lock the image's row, so that saves on one image happen one after the other."""
    locked = Image.objects.select_for_update(no_key=True).get(pk=image.pk)
    image.split = locked.split
    packed_masks.unpack(image)


def _lock_of(mask: Mask, *, actor: User) -> Image:
    """Lock the mask's image; NotAllowed unless the actor reviews, or was given this image."""
    image = mask.image
    was_given = image.assignments.filter(annotator=actor).exists()
    require(actor, Permission.LABEL if was_given else Permission.REVIEW, image.project)
    _lock(image)
    return image


def _note_reviewer(mask: Mask, *, actor: User) -> None:
    Mask.objects.filter(pk=mask.pk, reviewed_by__isnull=True).update(reviewed_by=actor)
    mask.refresh_from_db()


def _model_version(version_id: UUID | None, *, image: Image) -> ModelVersion | None:
    if version_id is None:
        return None
    version = ModelVersion.objects.filter(pk=version_id, project=image.project_id).first()
    if version is None:
        raise NotFound("this project has no such model version")
    return version


def _checked_ms(annotate_ms: int | None) -> int | None:
    if annotate_ms is not None and not 0 <= annotate_ms <= MAX_ANNOTATE_MS:
        raise InvalidInput(f"annotate_ms must lie between 0 and {MAX_ANNOTATE_MS}")
    return annotate_ms
