"""Projects: which are mine, their figures, photos in, and the way through the stages."""

from __future__ import annotations

from django.http import HttpRequest
from ninja import File, Query, Router, Status
from ninja.files import UploadedFile

from annotator_ui import uploads
from annotator_ui.api import present, schemas
from annotator_ui.api.answers import answers
from annotator_ui.lookups import project_by_slug
from annotator_ui.permissions import actor_of
from engine.domain.errors import NotFound
from engine.domain.roles import Permission, Scope
from engine.domain.states import Role
from engine.selectors import images as image_rows
from engine.selectors.members import projects_of, role_in
from engine.services.projects import stages
from engine.services.projects.projects import create_project

router = Router(tags=["projects"])


@router.get("/me", response=answers(schemas.MeOut))
def me(request: HttpRequest) -> schemas.MeOut:
    """Tell who you are, and how far the token you sent reaches."""
    actor = actor_of(request)
    return schemas.MeOut(
        username=actor.user.username,
        role=actor.user.account_role,
        token_scope=Scope(actor.token.scope) if actor.token else None,
    )


@router.get("/projects", response=answers(list[schemas.ProjectRowOut]))
def list_projects(request: HttpRequest) -> list[schemas.ProjectRowOut]:
    """List your projects, newest first."""
    actor = actor_of(request)
    rows = []
    for project in projects_of(actor.user).order_by("-created_at"):
        role = role_in(project, actor.user)
        if role is not None and actor.may(Permission.VIEW, project):
            rows.append(present.project_row_out(project, role=role))
    return rows


@router.post("/projects", response=answers({201: schemas.ProjectRowOut}, 413, 422))
def new_project(request: HttpRequest, body: schemas.ProjectIn) -> Status[schemas.ProjectRowOut]:
    """Create a project; you are its lead."""
    actor = actor_of(request)
    actor.require_account(Permission.CREATE_PROJECTS)
    project = create_project(body.name, actor=actor.user)
    return Status(201, present.project_row_out(project, role=Role.LEAD))


@router.get("/projects/{slug:slug}", response=answers(schemas.ProjectOut, 404))
def project(request: HttpRequest, slug: str) -> schemas.ProjectOut:
    """Figures, stage, serving models; for leads the running jobs too."""
    actor = actor_of(request)
    found = project_by_slug(actor, slug, to=Permission.VIEW)
    return present.project_out(found, with_jobs=actor.may(Permission.SEE_JOBS, found))


@router.get("/projects/{slug:slug}/images", response=answers(schemas.ImagePageOut, 404, 422))
def list_images(
    request: HttpRequest, slug: str, query: Query[schemas.PageQuery]
) -> schemas.ImagePageOut:
    """List the images, oldest first, a page at a time."""
    found = project_by_slug(actor_of(request), slug, to=Permission.VIEW)
    rows = image_rows.for_project(found)
    if query.after is not None:
        last = found.images.filter(pk=query.after).first()
        if last is None:
            raise NotFound("there is no such image in this project")
        rows = image_rows.after(rows, last)
    page = list(rows[: query.limit + 1])
    shown = page[: query.limit]
    return schemas.ImagePageOut(
        images=[present.image_row_out(image) for image in shown],
        next=shown[-1].pk if len(page) > len(shown) else None,
    )


@router.post(
    "/projects/{slug:slug}/images",
    response=answers({201: schemas.UploadOut}, 404, 413)
    | {422: schemas.UploadRefusedOut | schemas.InvalidOut},
)
def upload_images(
    request: HttpRequest, slug: str, file: File[list[UploadedFile]]
) -> Status[schemas.UploadOut]:
    """Add photos. 422 names each refused file; the good ones of the batch are kept."""
    actor = actor_of(request)
    found = project_by_slug(actor, slug, to=Permission.ADD_IMAGES)
    batch = uploads.take_files(found, file, actor=actor.user)
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


@router.post(
    "/projects/{slug:slug}/advance", response=answers(schemas.StageOut, 404, 409, 413, 422)
)
def advance(request: HttpRequest, slug: str, body: schemas.ReasonIn) -> schemas.StageOut:
    """Leave for the next stage; before its criteria are met only with a reason."""
    actor = actor_of(request)
    found = project_by_slug(actor, slug, to=Permission.MOVE_STAGE)
    stage = stages.advance_stage(found, actor=actor.user, reason=body.reason)
    return present.stage_out(stage.project)


@router.post("/projects/{slug:slug}/back", response=answers(schemas.StageOut, 404, 409, 413, 422))
def back(request: HttpRequest, slug: str, body: schemas.ReasonIn) -> schemas.StageOut:
    """Return to the stage before, or call off leaving the present one."""
    actor = actor_of(request)
    found = project_by_slug(actor, slug, to=Permission.MOVE_STAGE)
    stages.go_back(found, actor=actor.user, reason=body.reason)
    return present.stage_out(found)
