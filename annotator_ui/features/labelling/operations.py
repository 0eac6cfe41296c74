"""A batch of mask operations from outside: parse each by itself, apply, answer for each."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from pydantic import TypeAdapter, ValidationError

from annotator_ui import present, schemas
from annotator_ui.http.api_errors import field_errors
from engine.domain.errors import DomainError, InvalidInput
from engine.domain.states import MaskStatus
from engine.models import Assignment, User
from engine.services.masks import mask_operations
from engine.services.masks.mask_operations import (
    Applied,
    OperationOutcome,
    ReviewOperation,
    SaveOperation,
)
from masks.rle import Rle, RleError

OPERATION: TypeAdapter[schemas.Operation] = TypeAdapter(schemas.Operation)
VERDICTS = {"accept": MaskStatus.ACCEPTED, "reject": MaskStatus.REJECTED}


def apply_one(
    assignment: Assignment, operation: schemas.Operation | dict[str, Any], *, actor: User
) -> schemas.OperationOut:
    """Apply one operation in its own transaction; what is wrong with it becomes its answer."""
    if isinstance(operation, dict):  # it fits no kind of operation: say why
        return _refused(_mask_id(operation), _complaint(operation))
    try:
        applied = _apply(assignment, operation, actor=actor)
    except RleError as error:
        return _refused(operation.mask_id, InvalidInput(f"rle: {error}", code="invalid_rle"))
    except DomainError as error:
        return _refused(operation.mask_id, error)
    return schemas.OperationOut(
        outcome=applied.outcome,
        mask_id=applied.mask.pk,
        status=MaskStatus(applied.mask.status),
        saved=present.saved_mask_out(applied.saved) if applied.saved else None,
        code=None,
        message=None,
    )


def save_operation(body: schemas.MaskIn, assignment: Assignment) -> SaveOperation:
    """A MaskIn as the service takes it. RleError for a shape that is none."""
    image = assignment.image
    return SaveOperation(
        mask_id=body.mask_id,
        revision_id=body.revision_id,
        base_revision_id=body.base_revision_id,
        rle=Rle.from_coco(body.rle.model_dump(), image_hw=(image.height_px, image.width_px)),
        prompts=body.prompts,
        label=body.label,
        annotate_ms=body.annotate_ms,
        model_version_id=body.model_version_id,
    )


def _apply(assignment: Assignment, operation: schemas.Operation, *, actor: User) -> Applied:
    if isinstance(operation, schemas.SaveOperation):
        return mask_operations.apply_save(
            assignment, save_operation(operation, assignment), actor=actor
        )
    review = ReviewOperation(mask_id=operation.mask_id, verdict=VERDICTS[operation.type])
    return mask_operations.apply_review(assignment, review, actor=actor)


def _refused(mask_id: UUID | None, error: DomainError) -> schemas.OperationOut:
    return schemas.OperationOut(
        outcome=OperationOutcome.REFUSED,
        mask_id=mask_id,
        status=None,
        saved=None,
        code=error.code,
        message=error.message,
    )


def _complaint(operation: dict[str, Any]) -> InvalidInput:
    try:
        OPERATION.validate_python(operation)
    except ValidationError as error:
        said = [
            f"{one['field']}: {one['message']}"
            for one in field_errors([{**one} for one in error.errors()])
        ]
        return InvalidInput("; ".join(said[:5]))
    return InvalidInput("this is no operation")


def _mask_id(operation: dict[str, Any]) -> UUID | None:
    try:
        return UUID(str(operation.get("mask_id")))
    except ValueError:
        return None
