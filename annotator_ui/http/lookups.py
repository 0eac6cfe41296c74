"""Find the rows an address names, if the actor may do with them what is asked.

Outside the actor's projects there is nothing (NotFound); inside, a role or a token that is too
small is told so (NotAllowed). No view or API operation reads a row by its id in another way.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar
from uuid import UUID

from django.db.models import Model, QuerySet

from annotator_ui.http.permissions import Actor
from engine.domain.errors import NotFound
from engine.domain.roles import Permission
from engine.models import (
    ApiToken,
    Assignment,
    DatasetImport,
    Export,
    Image,
    Invitation,
    Job,
    Mask,
    Membership,
    ModelVersion,
    Project,
)
from engine.services.masks import packed_masks

Row = TypeVar("Row", bound=Model)


def _one(
    rows: QuerySet[Row],
    what: str,
    actor: Actor,
    to: Permission,
    project_of: Callable[[Row], Project],
    **key: object,
) -> Row:
    row = rows.filter(**key).first()
    if row is None:
        raise NotFound(f"there is no such {what}")
    actor.require(to, project_of(row), what=what)
    return row


def project_by_slug(actor: Actor, slug: str, *, to: Permission) -> Project:
    return _one(Project.objects.all(), "project", actor, to, lambda project: project, slug=slug)


def image_by_id(actor: Actor, image_id: UUID, *, to: Permission) -> Image:
    rows = Image.objects.select_related("project")
    return _one(rows, "image", actor, to, lambda image: image.project, pk=image_id)


def assignment_by_id(actor: Actor, assignment_id: UUID, *, to: Permission) -> Assignment:
    rows = Assignment.objects.select_related("image__project", "stage", "annotator")
    return _one(rows, "assignment", actor, to, lambda one: one.image.project, pk=assignment_id)


def mask_by_id(actor: Actor, mask_id: UUID, *, to: Permission) -> Mask:
    mask = packed_masks.find_mask(mask_id)
    if mask is None:
        raise NotFound("there is no such mask")
    actor.require(to, mask.image.project, what="mask")
    return mask


def version_by_id(actor: Actor, version_id: UUID, *, to: Permission) -> ModelVersion:
    rows = ModelVersion.objects.select_related("project")
    return _one(rows, "model version", actor, to, lambda one: one.project, pk=version_id)


def job_by_id(actor: Actor, job_id: UUID, *, to: Permission) -> Job:
    rows = Job.objects.select_related("project")
    return _one(rows, "job", actor, to, lambda job: job.project, pk=job_id)


def export_by_id(actor: Actor, export_id: UUID, *, to: Permission) -> Export:
    rows = Export.objects.select_related("project", "job")
    return _one(rows, "export", actor, to, lambda export: export.project, pk=export_id)


def membership_by_id(project: Project, membership_id: UUID) -> Membership:
    """A member of a project the actor was let into."""
    row = project.memberships.select_related("user").filter(pk=membership_id).first()
    if row is None:
        raise NotFound("there is no such member")
    return row


def invitation_by_id(project: Project, invitation_id: UUID) -> Invitation:
    """An invitation to a project the actor was let into."""
    row = project.invitations.select_related("project").filter(pk=invitation_id).first()
    if row is None:
        raise NotFound("there is no such invitation")
    return row


def own_token_by_id(actor: Actor, token_id: UUID) -> ApiToken:
    """A token of the actor's own; those of others are not there."""
    row = actor.user.api_tokens.filter(pk=token_id).first()
    if row is None:
        raise NotFound("there is no such token")
    return row


def import_by_id(actor: Actor, import_id: UUID, *, to: Permission) -> DatasetImport:
    rows = DatasetImport.objects.select_related("project", "job", "requested_by")
    return _one(rows, "import", actor, to, lambda one: one.project, pk=import_id)
