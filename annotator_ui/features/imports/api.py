"""Datasets in: a zip archive of images, with COCO or SA-1B annotations or without. For leads."""

from __future__ import annotations

from itertools import islice
from uuid import UUID

from django.http import HttpRequest
from ninja import File, Query, Router, Status
from ninja.files import UploadedFile

from annotator_ui import present, schemas
from annotator_ui.features.images import uploads
from annotator_ui.http.answers import answers
from annotator_ui.http.lookups import import_by_id, project_by_slug
from annotator_ui.http.permissions import actor_of
from engine.domain.roles import Permission
from engine.selectors import imports as import_rows
from engine.services.datasets import imports

router = Router(tags=["imports"])
NUM_IMPORTS = 100


@router.post(
    "/projects/{slug:slug}/imports", response=answers({202: schemas.ImportOut}, 404, 413, 422)
)
def request_import(
    request: HttpRequest, slug: str, file: File[UploadedFile]
) -> Status[schemas.ImportOut]:
    """Queue the import of an archive. 422 when it is no sane zip."""
    actor = actor_of(request)
    project = project_by_slug(actor, slug, to=Permission.ADD_IMAGES)
    run = uploads.take_archive(project, file, actor=actor.user)
    return Status(202, present.import_out(run))


@router.get("/projects/{slug:slug}/imports", response=answers(list[schemas.ImportOut], 404))
def list_imports(request: HttpRequest, slug: str) -> list[schemas.ImportOut]:
    """List the last imports, newest first, at most 100."""
    project = project_by_slug(actor_of(request), slug, to=Permission.SEE_JOBS)
    return [present.import_out(run) for run in import_rows.for_project(project)[:NUM_IMPORTS]]


@router.get("/imports/{uuid:import_id}", response=answers(schemas.ImportOut, 404))
def get_import(request: HttpRequest, import_id: UUID) -> schemas.ImportOut:
    """One import: how far it is, what came in, how much was refused."""
    return present.import_out(import_by_id(actor_of(request), import_id, to=Permission.SEE_JOBS))


@router.get(
    "/imports/{uuid:import_id}/refused", response=answers(schemas.ImportReportOut, 404, 422)
)
def refused(
    request: HttpRequest, import_id: UUID, page: Query[schemas.ReportQuery]
) -> schemas.ImportReportOut:
    """What was not taken and why, in the order of the dataset's files."""
    run = import_by_id(actor_of(request), import_id, to=Permission.SEE_JOBS)
    shown = islice(imports.refused_by(run), page.offset, page.offset + page.limit)
    return schemas.ImportReportOut(
        num_refused=run.num_refused,
        refused=[schemas.RefusedFile(file_name=one.name, message=one.reason) for one in shown],
    )
