"""Projects: their birth with a first stage and the starter models."""

from __future__ import annotations

from django.db import transaction
from django.utils.text import slugify

from engine.domain.errors import InvalidInput
from engine.domain.ids import uuid7
from engine.domain.roles import Permission
from engine.domain.stages import ORDER
from engine.domain.states import Role
from engine.models import Project, User
from engine.models.base import NAME_CHARACTERS
from engine.services.models import starters
from engine.services.people import members
from engine.services.people.roles import require, require_account
from engine.services.projects import stages
from engine.services.text import clean_line

MAX_SLUG_CHARACTERS = 60
MAX_INSTRUCTIONS_CHARACTERS = 4_000


@transaction.atomic
def create_project(name: str, *, actor: User) -> Project:
    """Create a project in its first stage, led by its creator, served by the starter models.

    Works without the starter files too; selectors.models.missing_parts then says what to do.
    """
    require_account(actor, Permission.CREATE_PROJECTS)
    name = clean_line(name, what="the name", max_characters=NAME_CHARACTERS, required=True)
    project = Project.objects.create(name=name, slug=_free_slug(name), created_by=actor)
    members.add_member(project, user=actor, role=Role.LEAD, actor=actor)
    stages.open_first(project, kind=ORDER[0], actor=actor)
    starters.register_starters(project)
    return project


@transaction.atomic
def set_instructions(project: Project, *, text: str, actor: User) -> Project:
    """Write what annotators of the project read beside the image. Plain text, lines kept."""
    require(actor, Permission.WRITE_INSTRUCTIONS, project)
    lines = (one.replace("\t", " ") for one in text.replace("\r\n", "\n").split("\n"))
    printable = ("".join(c for c in line if c.isprintable()).rstrip() for line in lines)
    clean = "\n".join(printable).strip()
    if len(clean) > MAX_INSTRUCTIONS_CHARACTERS:
        raise InvalidInput(
            f"instructions have at most {MAX_INSTRUCTIONS_CHARACTERS} characters, not {len(clean)}"
        )
    project.instructions = clean
    project.save(update_fields=["instructions"])
    return project


def _free_slug(name: str) -> str:
    slug = slugify(name)[:MAX_SLUG_CHARACTERS].strip("-") or "project"
    if not Project.objects.filter(slug=slug).exists():
        return slug
    return f"{slug}-{uuid7().hex[-6:]}"
