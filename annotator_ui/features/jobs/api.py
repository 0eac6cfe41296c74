"""Background jobs, for leads."""

from __future__ import annotations

from uuid import UUID

from django.http import HttpRequest
from ninja import Query, Router

from annotator_ui import present, schemas
from annotator_ui.http.answers import answers
from annotator_ui.http.lookups import job_by_id, project_by_slug
from annotator_ui.http.permissions import actor_of
from engine.domain.roles import Permission
from engine.selectors import jobs as job_rows
from engine.services.jobs import jobs

router = Router(tags=["jobs"])


@router.get("/projects/{slug:slug}/jobs", response=answers(list[schemas.JobOut], 404, 422))
def list_jobs(
    request: HttpRequest, slug: str, query: Query[schemas.JobsQuery]
) -> list[schemas.JobOut]:
    """Without a filter the live jobs, then those that ended last; with one, newest first.

    At most `limit` of them, after the first `offset`.
    """
    project = project_by_slug(actor_of(request), slug, to=Permission.SEE_JOBS)
    if query.status or query.kind:
        found = job_rows.history(project, statuses=query.status, kinds=query.kind)
    else:
        found = job_rows.live_first(project)
    return [present.job_out(job) for job in found[query.offset : query.offset + query.limit]]


@router.get("/jobs/{uuid:job_id}/attempts", response=answers(list[schemas.AttemptOut], 404))
def attempts(request: HttpRequest, job_id: UUID) -> list[schemas.AttemptOut]:
    """Every attempt, first to last: where it ran, how long, how it ended."""
    job = job_by_id(actor_of(request), job_id, to=Permission.SEE_JOBS)
    return [present.attempt_out(attempt) for attempt in job.attempt_rows.all()]


@router.get("/jobs/{uuid:job_id}", response=answers(schemas.JobOut, 404))
def get_job(request: HttpRequest, job_id: UUID) -> schemas.JobOut:
    """One job with its progress."""
    return present.job_out(job_by_id(actor_of(request), job_id, to=Permission.SEE_JOBS))


@router.post("/jobs/{uuid:job_id}/cancel", response=answers(schemas.JobOut, 404, 409))
def cancel(request: HttpRequest, job_id: UUID) -> schemas.JobOut:
    """Cancel a queued job now, a running one at its next heartbeat."""
    actor = actor_of(request)
    jobs.cancel(job_by_id(actor, job_id, to=Permission.MANAGE_JOBS), actor=actor.user)
    return present.job_out(job_by_id(actor, job_id, to=Permission.SEE_JOBS))


@router.post("/jobs/{uuid:job_id}/retry", response=answers(schemas.JobOut, 404, 409))
def retry(request: HttpRequest, job_id: UUID) -> schemas.JobOut:
    """Queue a failed job again."""
    actor = actor_of(request)
    jobs.retry(job_by_id(actor, job_id, to=Permission.MANAGE_JOBS), actor=actor.user)
    return present.job_out(job_by_id(actor, job_id, to=Permission.SEE_JOBS))
