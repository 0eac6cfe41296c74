"""Datasets in: a zip archive of pictures, with COCO or SA-1B annotations or without. For leads."""

from __future__ import annotations

from itertools import islice
from uuid import UUID

from django.http import HttpRequest
from ninja import File, Query, Router, Status
from ninja.files import UploadedFile

from annotator_ui import uploads
from annotator_ui.api import present, schemas
from annotator_ui.lookups import import_by_id, project_by_slug
from annotator_ui.permissions import lead, user_of
from engine.selectors import imports as import_rows
from engine.services import imports

router = Router(auth=lead)
NUM_IMPORTS = 100


@router.post("/projects/{slug}/imports", response={202: schemas.ImportOut})
def request_import(
    request: HttpRequest, slug: str, file: File[UploadedFile]
) -> Status[schemas.ImportOut]:
    """Queue the import of an archive. 422 when it is no sane zip."""
    run = uploads.take_archive(project_by_slug(slug), file, actor=user_of(request))
    return Status(202, present.import_out(run))


@router.get("/projects/{slug}/imports", response=list[schemas.ImportOut])
def of_project(request: HttpRequest, slug: str) -> list[schemas.ImportOut]:
    """List the last imports, newest first, at most 100."""
    rows = import_rows.for_project(project_by_slug(slug))[:NUM_IMPORTS]
    return [present.import_out(run) for run in rows]


@router.get("/imports/{uuid:import_id}", response=schemas.ImportOut)
def one(request: HttpRequest, import_id: UUID) -> schemas.ImportOut:
    return present.import_out(import_by_id(import_id))


@router.get("/imports/{uuid:import_id}/refused", response=schemas.ImportReportOut)
def refused(
    request: HttpRequest, import_id: UUID, page: Query[schemas.ReportQuery]
) -> schemas.ImportReportOut:
    """What was not taken and why, in the order of the dataset's files."""
    run = import_by_id(import_id)
    shown = islice(imports.refused_by(run), page.offset, page.offset + page.limit)
    return schemas.ImportReportOut(
        num_refused=run.num_refused,
        refused=[schemas.RefusedFile(file_name=one.name, message=one.reason) for one in shown],
    )
