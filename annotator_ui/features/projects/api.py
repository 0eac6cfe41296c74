"""Projects: which are yours, and their figures."""

from __future__ import annotations

from django.http import HttpRequest
from ninja import Router, Status

from annotator_ui import present, schemas
from annotator_ui.http.answers import answers
from annotator_ui.http.lookups import project_by_slug
from annotator_ui.http.permissions import actor_of
from engine.domain.roles import Permission, Scope
from engine.domain.states import Role
from engine.selectors.members import projects_of, role_in
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
