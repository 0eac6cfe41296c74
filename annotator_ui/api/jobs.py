"""Background jobs and exports, for leads."""

from __future__ import annotations

from uuid import UUID

from django.http import HttpRequest, HttpResponseBase
from ninja import Query, Router, Status

from annotator_ui.api import present, schemas
from annotator_ui.api.files import stored_file
from annotator_ui.lookups import export_by_id, job_by_id, project_by_slug
from annotator_ui.permissions import lead, user_of
from engine.domain.errors import NotReady
from engine.models import Export
from engine.selectors import jobs as job_rows
from engine.services import exports, jobs

router = Router(auth=lead)


@router.get("/projects/{slug}/jobs", response=list[schemas.JobOut])
def of_project(
    request: HttpRequest, slug: str, query: Query[schemas.JobsQuery]
) -> list[schemas.JobOut]:
    """Without a filter the live jobs, then those that ended last; with one, newest first.

    At most `limit` of them, after the first `offset`.
    """
    project = project_by_slug(slug)
    if query.status or query.kind:
        found = job_rows.history(project, statuses=query.status, kinds=query.kind)
    else:
        found = job_rows.live_first(project)
    return [present.job_out(job) for job in found[query.offset : query.offset + query.limit]]


@router.get("/jobs/{uuid:job_id}/attempts", response=list[schemas.AttemptOut])
def attempts(request: HttpRequest, job_id: UUID) -> list[schemas.AttemptOut]:
    """Every attempt, first to last: where it ran, how long, how it ended."""
    return [present.attempt_out(attempt) for attempt in job_by_id(job_id).attempt_rows.all()]


@router.get("/jobs/{uuid:job_id}", response=schemas.JobOut)
def one(request: HttpRequest, job_id: UUID) -> schemas.JobOut:
    return present.job_out(job_by_id(job_id))


@router.post("/jobs/{uuid:job_id}/cancel", response=schemas.JobOut)
def cancel(request: HttpRequest, job_id: UUID) -> schemas.JobOut:
    jobs.cancel(job_by_id(job_id), actor=user_of(request))
    return present.job_out(job_by_id(job_id))


@router.post("/jobs/{uuid:job_id}/retry", response=schemas.JobOut)
def retry(request: HttpRequest, job_id: UUID) -> schemas.JobOut:
    jobs.retry(job_by_id(job_id), actor=user_of(request))
    return present.job_out(job_by_id(job_id))


@router.post("/projects/{slug}/exports", response={202: schemas.ExportOut})
def request_export(
    request: HttpRequest, slug: str, body: schemas.ExportIn
) -> Status[schemas.ExportOut]:
    project = project_by_slug(slug)
    export = exports.request_export(project, format=body.format, actor=user_of(request))
    return Status(202, present.export_out(export))


@router.get("/exports/{uuid:export_id}", response=schemas.ExportOut)
def export(request: HttpRequest, export_id: UUID) -> schemas.ExportOut:
    return present.export_out(export_by_id(export_id))


def download_name(export: Export) -> str:
    return f"{export.project.slug}-{export.format}-{export.created_at:%Y%m%d-%H%M}.zip"


@router.get("/exports/{uuid:export_id}/file")
def export_file(request: HttpRequest, export_id: UUID) -> HttpResponseBase:
    export = export_by_id(export_id)
    if not export.storage_key:
        raise NotReady("this export is not written yet")
    return stored_file(request, export.storage_key, download_name=download_name(export))
