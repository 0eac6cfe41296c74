"""Saving masks and judging proposals."""

from __future__ import annotations

from uuid import UUID

from django.http import HttpRequest
from ninja import Router, Status

from annotator_ui.api import present, schemas
from annotator_ui.lookups import assignment_by_id, image_by_id, mask_by_id
from annotator_ui.permissions import user_of
from engine.services import masks
from masks.rle import Rle

router = Router()


@router.post(
    "/assignments/{uuid:assignment_id}/masks",
    response={200: schemas.SavedMaskOut, 201: schemas.SavedMaskOut},
)
def save_mask(
    request: HttpRequest, assignment_id: UUID, body: schemas.MaskIn
) -> Status[schemas.SavedMaskOut]:
    """Store one revision of a mask; sending it again changes nothing and answers 200."""
    assignment = assignment_by_id(assignment_id)
    image = assignment.image
    saved = masks.save_mask(
        assignment,
        actor=user_of(request),
        mask_id=body.mask_id,
        revision_id=body.revision_id,
        base_revision_id=body.base_revision_id,
        rle=Rle.from_coco(body.rle.model_dump(), image_hw=(image.height_px, image.width_px)),
        prompts=[prompt.model_dump() for prompt in body.prompts],
        label=body.label,
        annotate_ms=body.annotate_ms,
        model_version_id=body.model_version_id,
    )
    return Status(200 if saved.duplicate else 201, present.saved_mask_out(saved))


@router.post("/masks/{uuid:mask_id}/accept", response=schemas.MaskOut)
def accept(request: HttpRequest, mask_id: UUID) -> schemas.MaskOut:
    masks.accept_mask(mask_by_id(mask_id), actor=user_of(request))
    return present.mask_out(mask_by_id(mask_id))


@router.post("/masks/{uuid:mask_id}/reject", response=schemas.MaskOut)
def reject(request: HttpRequest, mask_id: UUID) -> schemas.MaskOut:
    masks.reject_mask(mask_by_id(mask_id), actor=user_of(request))
    return present.mask_out(mask_by_id(mask_id))


@router.get("/images/{uuid:image_id}/masks", response=list[schemas.MaskOut])
def of_image(request: HttpRequest, image_id: UUID) -> list[schemas.MaskOut]:
    """List every mask of the image, rejected ones too."""
    return present.masks_of(image_by_id(image_id), with_rejected=True)
