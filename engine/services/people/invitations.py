"""Invitations: the only way in for people, as there is no sign-up. A link works once."""

from __future__ import annotations

from datetime import timedelta

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from engine.domain.errors import Conflict, InvalidInput, NotFound
from engine.domain.roles import Permission
from engine.domain.sign_in import (
    INVITATION_LIFE_DAYS,
    MAX_INVITATION_LIFE_DAYS,
    MAX_OPEN_INVITATIONS,
)
from engine.domain.states import Role
from engine.models import Invitation, Membership, Project, User
from engine.models.base import NAME_CHARACTERS
from engine.selectors.members import open_invitations
from engine.services.people import members, users
from engine.services.people.one_time_secrets import new_secret, secret_sha256
from engine.services.people.roles import require
from engine.services.text import clean_line


@transaction.atomic
def invite(
    project: Project,
    *,
    role: str,
    name: str = "",
    life_days: int = INVITATION_LIFE_DAYS,
    actor: User,
) -> tuple[Invitation, str]:
    """Make an invitation and its secret, which is shown now and never again.

    name: a note for the leads, such as an e-mail address; nothing is sent.
    """
    require(actor, Permission.MANAGE_MEMBERS, project)
    if not 1 <= life_days <= MAX_INVITATION_LIFE_DAYS:
        raise InvalidInput(f"an invitation lives 1 to {MAX_INVITATION_LIFE_DAYS} days")
    if open_invitations(project).count() >= MAX_OPEN_INVITATIONS:
        raise Conflict(f"there are {MAX_OPEN_INVITATIONS} open invitations; revoke some first")
    secret = new_secret()
    invitation = Invitation.objects.create(
        project=project,
        role=members.checked_role(role).value,
        name=clean_line(name, what="the name", max_characters=NAME_CHARACTERS),
        token_sha256=secret_sha256(secret),
        created_by=actor,
        expires_at=timezone.now() + timedelta(days=life_days),
    )
    return invitation, secret


def revoke(invitation: Invitation, *, actor: User) -> None:
    """Make an unused invitation worthless. Revoking it again changes nothing."""
    require(actor, Permission.MANAGE_MEMBERS, invitation.project)
    now = timezone.now()
    open_ = Invitation.objects.filter(pk=invitation.pk, used_at__isnull=True)
    if open_.filter(revoked_at__isnull=True).update(revoked_at=now) or open_.exists():
        return
    raise Conflict("this invitation has been used; remove the member instead")


def find(secret: str) -> Invitation:
    """Return the invitation of a link that still works, else NotFound."""
    invitation = _usable(secret).select_related("project", "created_by").first()
    if invitation is None:
        raise NotFound(
            "This invitation has been used, was revoked or has expired. Ask for a new one.",
            code="invitation_spent",
        )
    return invitation


@transaction.atomic
def accept_as_new(secret: str, *, username: str, password: str) -> User:
    """Make the invited person an account and a member."""
    find(secret)  # before the slow hash of a password, and before telling which names are taken
    user = users.create_user(username, role=Role.ANNOTATOR, password=password)
    accept(secret, user=user)
    return user


@transaction.atomic
def accept(secret: str, *, user: User) -> Membership:
    """Make somebody who has an account a member. Conflict when they are one already."""
    invitation = find(secret)
    membership = members.add_member(
        invitation.project,
        user=user,
        role=Role(invitation.role),
        actor=invitation.created_by,
    )
    # Two people may open one link: this update, not the read before it, decides who was first.
    if _usable(secret).update(used_at=timezone.now(), used_by=user) != 1:
        raise Conflict("this invitation has just been used", code="invitation_spent")
    return membership


def _usable(secret: str) -> QuerySet[Invitation]:
    return Invitation.objects.filter(
        token_sha256=secret_sha256(secret),
        used_at__isnull=True,
        revoked_at__isnull=True,
        expires_at__gt=timezone.now(),
    )
