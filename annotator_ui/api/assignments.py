"""Getting an image to label, keeping it, and handing it back."""

from __future__ import annotations

from uuid import UUID

from django.http import HttpRequest
from ninja import Router, Status

from annotator_ui.api import present, schemas
from annotator_ui.lookups import assignment_by_id, image_by_id, project_by_slug
from annotator_ui.permissions import user_of
from engine.domain.errors import NotFound
from engine.services import assignments

router = Router()


@router.post("/projects/{slug}/assignments/next", response={200: schemas.SessionOut, 204: None})
def take_next(
    request: HttpRequest, slug: str, body: schemas.NextIn | None = None
) -> schemas.SessionOut | Status[None]:
    """Lease the asked or the next image; 204 when nothing is left."""
    project = project_by_slug(slug)
    if body is not None and body.image_id is not None:
        image = image_by_id(body.image_id)
        if image.project_id != project.pk:
            raise NotFound("there is no such image in this project")
        assignment = assignments.lease_image(image, annotator=user_of(request))
    else:
        leased = assignments.lease_next(project, annotator=user_of(request))
        if leased is None:
            return Status(204, None)
        assignment = leased
    return present.session_out(assignment)


@router.post("/assignments/{uuid:assignment_id}/extend", response=schemas.AssignmentOut)
def extend(request: HttpRequest, assignment_id: UUID) -> schemas.AssignmentOut:
    assignment = assignment_by_id(assignment_id)
    assignments.extend_lease(assignment, actor=user_of(request))
    return present.assignment_out(assignment)


@router.post("/assignments/{uuid:assignment_id}/submit", response=schemas.AssignmentOut)
def submit(request: HttpRequest, assignment_id: UUID) -> schemas.AssignmentOut:
    assignment = assignment_by_id(assignment_id)
    assignments.submit(assignment, actor=user_of(request))
    return present.assignment_out(assignment)


@router.post("/assignments/{uuid:assignment_id}/skip", response=schemas.AssignmentOut)
def skip(request: HttpRequest, assignment_id: UUID, body: schemas.SkipIn) -> schemas.AssignmentOut:
    assignment = assignment_by_id(assignment_id)
    assignments.skip(assignment, actor=user_of(request), reason=body.reason if body else "")
    return present.assignment_out(assignment)
