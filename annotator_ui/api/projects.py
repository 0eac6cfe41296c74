"""A project as its lead sees it: figures, photos in, and the way through the stages."""

from __future__ import annotations

from django.http import HttpRequest
from ninja import File, Router, Status
from ninja.files import UploadedFile

from annotator_ui import uploads
from annotator_ui.api import present, schemas
from annotator_ui.lookups import project_by_slug
from annotator_ui.permissions import has_role, lead, user_of
from engine.domain.states import Role
from engine.services import stages

router = Router()


@router.get("/projects/{slug}", response=schemas.ProjectOut)
def project(request: HttpRequest, slug: str) -> schemas.ProjectOut:
    is_lead = has_role(user_of(request), Role.LEAD)
    return present.project_out(project_by_slug(slug), with_jobs=is_lead)


@router.post(
    "/projects/{slug}/images",
    auth=lead,
    response={201: schemas.UploadOut, 422: schemas.UploadRefusedOut},
)
def upload_images(
    request: HttpRequest, slug: str, file: File[list[UploadedFile]]
) -> Status[schemas.UploadOut]:
    """Add photos. 422 names each refused file; the good ones of the batch are kept."""
    batch = uploads.take_files(project_by_slug(slug), file, actor=user_of(request))
    images = [present.image_out(image) for image in batch.images]
    if not batch.refused:
        return Status(201, schemas.UploadOut(images=images))
    refused = [
        schemas.RefusedFile(file_name=one.file_name, message=one.message) for one in batch.refused
    ]
    message = "; ".join(f"{one.file_name}: {one.message}" for one in refused[:5])
    return Status(
        422,
        schemas.UploadRefusedOut(
            code="invalid_input", message=message, refused=refused, images=images
        ),
    )


@router.post("/projects/{slug}/advance", auth=lead, response=schemas.StageOut)
def advance(request: HttpRequest, slug: str, body: schemas.ReasonIn) -> schemas.StageOut:
    stage = stages.advance_stage(project_by_slug(slug), actor=user_of(request), reason=body.reason)
    return present.stage_out(stage.project)


@router.post("/projects/{slug}/back", auth=lead, response=schemas.StageOut)
def back(request: HttpRequest, slug: str, body: schemas.ReasonIn) -> schemas.StageOut:
    project = project_by_slug(slug)
    stages.go_back(project, actor=user_of(request), reason=body.reason)
    return present.stage_out(project)
