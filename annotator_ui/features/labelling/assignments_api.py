"""Getting an image to label, keeping it, and handing it back."""

from __future__ import annotations

from uuid import UUID

from django.http import HttpRequest
from ninja import Router, Status

from annotator_ui import present, schemas
from annotator_ui.http.answers import answers
from annotator_ui.http.lookups import assignment_by_id, image_by_id, project_by_slug
from annotator_ui.http.permissions import actor_of, user_of
from engine.domain.errors import NotFound
from engine.domain.roles import Permission
from engine.services.masks import assignments

router = Router(tags=["sessions"])


@router.post(
    "/projects/{slug:slug}/assignments/next",
    response=answers({200: schemas.SessionOut, 204: None}, 404, 409, 413, 422),
)
def take_next(
    request: HttpRequest, slug: str, body: schemas.NextIn | None = None
) -> schemas.SessionOut | Status[None]:
    """Lease the asked or the next image; 204 when nothing is left."""
    actor = actor_of(request)
    project = project_by_slug(actor, slug, to=Permission.LABEL)
    if body is not None and body.image_id is not None:
        image = image_by_id(actor, body.image_id, to=Permission.LABEL)
        if image.project_id != project.pk:
            raise NotFound("there is no such image in this project")
        assignment = assignments.lease_image(image, annotator=actor.user)
    else:
        leased = assignments.lease_next(project, annotator=actor.user)
        if leased is None:
            return Status(204, None)
        assignment = leased
    return present.session_out(assignment)


@router.post(
    "/assignments/{uuid:assignment_id}/extend", response=answers(schemas.AssignmentOut, 404, 409)
)
def extend(request: HttpRequest, assignment_id: UUID) -> schemas.AssignmentOut:
    """Start the lease anew."""
    assignment = assignment_by_id(actor_of(request), assignment_id, to=Permission.LABEL)
    assignments.extend_lease(assignment, actor=user_of(request))
    return present.assignment_out(assignment)


@router.post(
    "/assignments/{uuid:assignment_id}/submit",
    response=answers(schemas.AssignmentOut, 404, 409, 413, 422),
)
def submit(
    request: HttpRequest, assignment_id: UUID, body: schemas.SubmitIn | None = None
) -> schemas.AssignmentOut:
    """Say that the image is done."""
    assignment = assignment_by_id(actor_of(request), assignment_id, to=Permission.LABEL)
    num_left_out = body.num_left_out if body else 0
    assignments.submit(assignment, actor=user_of(request), num_left_out=num_left_out)
    return present.assignment_out(assignment)


@router.post(
    "/assignments/{uuid:assignment_id}/skip",
    response=answers(schemas.AssignmentOut, 404, 409, 413, 422),
)
def skip(request: HttpRequest, assignment_id: UUID, body: schemas.SkipIn) -> schemas.AssignmentOut:
    """Leave the image to somebody else."""
    assignment = assignment_by_id(actor_of(request), assignment_id, to=Permission.LABEL)
    assignments.skip(
        assignment, actor=user_of(request), reason=body.reason, num_left_out=body.num_left_out
    )
    return present.assignment_out(assignment)
