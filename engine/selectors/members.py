"""Questions about who belongs where."""

from __future__ import annotations

from django.db.models import QuerySet
from django.utils import timezone

from engine.domain.states import Role
from engine.models import ApiToken, Invitation, Membership, Project, User


def role_in(project: Project, user: User) -> Role | None:
    """The user's role in the project; None: no member. An admin is one everywhere. One query."""
    if not user.is_active:
        return None
    if user.is_admin:
        return Role.ADMIN
    role = project.memberships.filter(user=user).values_list("role", flat=True).first()
    return None if role is None else Role(role)


def projects_of(user: User) -> QuerySet[Project]:
    """The projects the user may know of: an admin all, others those they are a member of."""
    if user.is_admin:
        return Project.objects.all()
    return Project.objects.filter(memberships__user=user)


def members_of(project: Project) -> QuerySet[Membership]:
    """The members, in the order in which they came."""
    return project.memberships.select_related("user").order_by("created_at", "id")


def open_invitations(project: Project) -> QuerySet[Invitation]:
    """Invitations that still work, oldest first."""
    return project.invitations.filter(
        used_at__isnull=True, revoked_at__isnull=True, expires_at__gt=timezone.now()
    ).select_related("created_by")


def live_tokens(user: User) -> QuerySet[ApiToken]:
    """The user's tokens that still work, newest first."""
    return user.api_tokens.filter(
        revoked_at__isnull=True, expires_at__gt=timezone.now()
    ).select_related("project")
