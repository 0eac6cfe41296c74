"""Segment everything: an annotator asks, watches and may stop; the masks come as suggestions."""

from __future__ import annotations

from uuid import UUID

from django.http import HttpRequest
from ninja import Router, Status

from annotator_ui.api import schemas
from annotator_ui.lookups import image_by_id
from annotator_ui.permissions import user_of
from engine.models import Job
from engine.services import suggestions

router = Router()


def state_out(job: Job | None) -> schemas.SuggestionsOut:
    if job is None:
        return schemas.SuggestionsOut(status="none", progress_pct=0, progress_text="", error="")
    return schemas.SuggestionsOut(
        status=job.status,
        progress_pct=job.progress_pct,
        progress_text=job.progress_text,
        error=job.error,
    )


@router.post("/images/{uuid:image_id}/suggestions", response={202: schemas.SuggestionsOut})
def ask(request: HttpRequest, image_id: UUID) -> Status[schemas.SuggestionsOut]:
    """Start the search, or join the one that is under way."""
    job = suggestions.request_suggestions(image_by_id(image_id), actor=user_of(request))
    return Status(202, state_out(job))


@router.get("/images/{uuid:image_id}/suggestions", response=schemas.SuggestionsOut)
def state(request: HttpRequest, image_id: UUID) -> schemas.SuggestionsOut:
    return state_out(suggestions.latest_request(image_by_id(image_id)))


@router.post("/images/{uuid:image_id}/suggestions/cancel", response=schemas.SuggestionsOut)
def cancel(request: HttpRequest, image_id: UUID) -> schemas.SuggestionsOut:
    """Stop the search; masks suggested so far stay."""
    job = suggestions.cancel_suggestions(image_by_id(image_id), actor=user_of(request))
    return state_out(job)
