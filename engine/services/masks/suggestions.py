"""Suggestions an annotator asks for: every mask the model sees on one image, for them to review."""

from __future__ import annotations

from engine.domain.errors import Conflict, NotReady
from engine.domain.jobs import JobKind
from engine.domain.roles import Permission
from engine.domain.states import ImageStatus, ModelFamily
from engine.models import Image, Job, User
from engine.models.job import LIVE
from engine.selectors.models import serving_version
from engine.selectors.stages import active_stage
from engine.services.jobs import job_control, jobs
from engine.services.people.roles import require


def request_suggestions(image: Image, *, actor: User) -> Job:
    """Queue the search; the live job when it is already queued or running."""
    _require_labeller(image, actor=actor)
    if image.status == ImageStatus.REJECTED:
        raise Conflict("this image has been rejected", code="image_rejected")
    stage = active_stage(image.project)
    if stage is None:
        raise NotReady("this project has no open stage", code="no_stage")
    sam = serving_version(image.project, family=ModelFamily.SAM)
    if sam is None:
        raise NotReady("no model serves this project yet", code="no_model")
    return jobs.enqueue(
        JobKind.SUGGEST_MASKS,
        project=image.project,
        args={"image": image.pk, "stage": stage.pk},
        idem_key=f"{JobKind.SUGGEST_MASKS}:{image.pk}:{stage.pk}:sam{sam.number}",
    )


def latest_request(image: Image) -> Job | None:
    """The newest search on this image, live or over; None when nobody asked."""
    kind = JobKind.SUGGEST_MASKS.value
    searches = image.project.jobs.filter(kind=kind, args__image=str(image.pk))
    return searches.order_by("-created_at").first()


def cancel_suggestions(image: Image, *, actor: User) -> Job | None:
    """Stop the search; what it has suggested stays. Nothing to stop is no error."""
    _require_labeller(image, actor=actor)
    job = latest_request(image)
    if job is None or job.status not in LIVE:
        return job
    return job_control.stop(job, actor=actor)


def _require_labeller(image: Image, *, actor: User) -> None:
    require(actor, Permission.LABEL, image.project)
    if not image.assignments.filter(annotator=actor).exists():
        require(actor, Permission.REVIEW, image.project)
