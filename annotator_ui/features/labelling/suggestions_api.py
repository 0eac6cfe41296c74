"""Segment everything: an annotator asks, watches and may stop; the masks come as suggestions."""

from __future__ import annotations

from uuid import UUID

from django.http import HttpRequest
from ninja import Router, Status

from annotator_ui import schemas
from annotator_ui.http.answers import answers
from annotator_ui.http.lookups import image_by_id
from annotator_ui.http.permissions import actor_of
from engine.domain.roles import Permission
from engine.domain.states import JobStatus
from engine.models import Job
from engine.services.masks import suggestions

router = Router(tags=["images"])


def state_out(job: Job | None) -> schemas.SuggestionsOut:
    if job is None:
        return schemas.SuggestionsOut(status="none", progress_pct=0, progress_text="", error="")
    return schemas.SuggestionsOut(
        status=JobStatus(job.status),
        progress_pct=job.progress_pct,
        progress_text=job.progress_text,
        error=job.error,
    )


@router.post(
    "/images/{uuid:image_id}/suggestions",
    response=answers({202: schemas.SuggestionsOut}, 404, 409),
)
def request_suggestions(request: HttpRequest, image_id: UUID) -> Status[schemas.SuggestionsOut]:
    """Start the search, or join the one that is under way."""
    actor = actor_of(request)
    image = image_by_id(actor, image_id, to=Permission.LABEL)
    job = suggestions.request_suggestions(image, actor=actor.user)
    return Status(202, state_out(job))


@router.get("/images/{uuid:image_id}/suggestions", response=answers(schemas.SuggestionsOut, 404))
def suggestions_state(request: HttpRequest, image_id: UUID) -> schemas.SuggestionsOut:
    """How the newest search on the image stands; `none` when nobody asked."""
    image = image_by_id(actor_of(request), image_id, to=Permission.VIEW)
    return state_out(suggestions.latest_request(image))


@router.post(
    "/images/{uuid:image_id}/suggestions/cancel",
    response=answers(schemas.SuggestionsOut, 404, 409),
)
def cancel_suggestions(request: HttpRequest, image_id: UUID) -> schemas.SuggestionsOut:
    """Stop the search; masks suggested so far stay."""
    actor = actor_of(request)
    image = image_by_id(actor, image_id, to=Permission.LABEL)
    job = suggestions.cancel_suggestions(image, actor=actor.user)
    return state_out(job)
