"""Find rows by the names that people type on a command line."""

from __future__ import annotations

from engine.domain.errors import InvalidInput
from engine.models import Project, User


def project_named(slug: str) -> Project:
    """The project of that slug. InvalidInput names those that exist."""
    project = Project.objects.select_related("created_by").filter(slug=slug).first()
    if project is None:
        known = ", ".join(Project.objects.values_list("slug", flat=True)[:20]) or "none yet"
        raise InvalidInput(f"there is no project {slug!r}; there are: {known}")
    return project


def user_named(username: str) -> User:
    """The active user of that name."""
    user = User.objects.filter(username=username, is_active=True).first()
    if user is None:
        raise InvalidInput(f"there is no active user {username!r}")
    return user
