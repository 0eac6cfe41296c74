"""Exports: queue one, follow it, download it. For leads."""

from __future__ import annotations

from uuid import UUID

from django.http import HttpRequest, HttpResponseBase
from ninja import Router, Status

from annotator_ui import present, schemas
from annotator_ui.http.answers import answers, files
from annotator_ui.http.files import stored_file
from annotator_ui.http.lookups import export_by_id, project_by_slug
from annotator_ui.http.permissions import actor_of
from engine.domain.errors import NotReady
from engine.domain.roles import Permission
from engine.models import Export
from engine.services.datasets import exports

router = Router(tags=["exports"])


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
def get_export(request: HttpRequest, export_id: UUID) -> schemas.ExportOut:
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
