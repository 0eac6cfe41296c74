"""Background jobs and exports, for leads."""

from __future__ import annotations

from uuid import UUID

from django.http import HttpRequest, HttpResponseBase
from ninja import Query, Router, Status

from annotator_ui.api import present, schemas
from annotator_ui.api.answers import answers, files
from annotator_ui.api.files import stored_file
from annotator_ui.lookups import export_by_id, job_by_id, project_by_slug
from annotator_ui.permissions import actor_of
from engine.domain.errors import NotReady
from engine.domain.roles import Permission
from engine.models import Export
from engine.selectors import jobs as job_rows
from engine.services.datasets import exports
from engine.services.jobs import jobs

router = Router(tags=["jobs and exports"])


@router.get("/projects/{slug:slug}/jobs", response=answers(list[schemas.JobOut], 404, 422))
def of_project(
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
def one(request: HttpRequest, job_id: UUID) -> schemas.JobOut:
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


@router.post(
    "/projects/{slug:slug}/exports", response=answers({202: schemas.ExportOut}, 404, 413, 422)
)
def request_export(
    request: HttpRequest, slug: str, body: schemas.ExportIn
) -> Status[schemas.ExportOut]:
    """Queue an export of all accepted masks."""
    actor = actor_of(request)
    project = project_by_slug(actor, slug, to=Permission.EXPORT)
    export = exports.request_export(project, format=body.format, actor=actor.user)
    return Status(202, present.export_out(export))


@router.get("/exports/{uuid:export_id}", response=answers(schemas.ExportOut, 404))
def export(request: HttpRequest, export_id: UUID) -> schemas.ExportOut:
    """One export; `file_url` and `sha256` once it is written."""
    return present.export_out(export_by_id(actor_of(request), export_id, to=Permission.SEE_JOBS))


def download_name(export: Export) -> str:
    return f"{export.project.slug}-{export.format}-{export.created_at:%Y%m%d-%H%M}.zip"


@router.get("/exports/{uuid:export_id}/file", **files(("application/zip",), 404, 409))
def export_file(request: HttpRequest, export_id: UUID) -> HttpResponseBase:
    """The archive of a written export."""
    export = export_by_id(actor_of(request), export_id, to=Permission.SEE_JOBS)
    if not export.storage_key:
        raise NotReady("this export is not written yet")
    return stored_file(request, export.storage_key, download_name=download_name(export))
