"""Saving masks and judging proposals."""

from __future__ import annotations

from uuid import UUID

from django.http import HttpRequest
from ninja import Router, Status

from annotator_ui import present, schemas
from annotator_ui.features.labelling.operations import apply_one, save_operation
from annotator_ui.http.answers import answers
from annotator_ui.http.lookups import assignment_by_id, image_by_id, mask_by_id
from annotator_ui.http.permissions import actor_of, user_of
from engine.domain.errors import NotAllowed
from engine.domain.roles import Permission
from engine.services.masks import mask_operations, masks

router = Router(tags=["masks"])


@router.post(
    "/assignments/{uuid:assignment_id}/masks",
    response=answers({200: schemas.SavedMaskOut, 201: schemas.SavedMaskOut}, 404, 409, 413, 422),
)
def save_mask(
    request: HttpRequest, assignment_id: UUID, body: schemas.MaskIn
) -> Status[schemas.SavedMaskOut]:
    """Store one revision of a mask; sending it again changes nothing and answers 200."""
    assignment = assignment_by_id(actor_of(request), assignment_id, to=Permission.LABEL)
    operation = save_operation(body, assignment)
    saved = mask_operations.apply_save(assignment, operation, actor=user_of(request)).saved
    assert saved is not None  # noqa: S101 - a save that does not raise has saved
    return Status(200 if saved.duplicate else 201, present.saved_mask_out(saved))


@router.post(
    "/assignments/{uuid:assignment_id}/operations",
    response=answers(schemas.OperationsOut, 404, 413, 422),
)
def apply_operations(
    request: HttpRequest, assignment_id: UUID, body: schemas.OperationsIn
) -> schemas.OperationsOut:
    """Save, accept and reject masks of one image in one request.

    Each operation is applied by itself and answered by itself. Sending a batch again is safe.
    """
    actor = user_of(request)
    assignment = assignment_by_id(actor_of(request), assignment_id, to=Permission.LABEL)
    if assignment.annotator_id != actor.pk:
        raise NotAllowed("this assignment belongs to somebody else")
    results = [apply_one(assignment, one, actor=actor) for one in body.operations]
    return schemas.OperationsOut(results=results)


@router.post("/masks/{uuid:mask_id}/accept", response=answers(schemas.MaskOut, 404, 409))
def accept_mask(request: HttpRequest, mask_id: UUID) -> schemas.MaskOut:
    """Confirm a mask: one of an image you were given, or any mask as a reviewer."""
    actor = actor_of(request)
    masks.accept_mask(mask_by_id(actor, mask_id, to=Permission.LABEL), actor=actor.user)
    return present.mask_out(mask_by_id(actor, mask_id, to=Permission.LABEL))


@router.post("/masks/{uuid:mask_id}/reject", response=answers(schemas.MaskOut, 404, 409))
def reject_mask(request: HttpRequest, mask_id: UUID) -> schemas.MaskOut:
    """Take a mask out; its revisions stay."""
    actor = actor_of(request)
    masks.reject_mask(mask_by_id(actor, mask_id, to=Permission.LABEL), actor=actor.user)
    return present.mask_out(mask_by_id(actor, mask_id, to=Permission.LABEL))


@router.get("/images/{uuid:image_id}/masks", response=answers(list[schemas.MaskOut], 404))
def list_masks(request: HttpRequest, image_id: UUID) -> list[schemas.MaskOut]:
    """List every mask of the image, rejected ones too."""
    image = image_by_id(actor_of(request), image_id, to=Permission.VIEW)
    return present.masks_of(image, with_rejected=True)
