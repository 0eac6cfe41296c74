"""Members of a project: who comes, in which role, and who goes. A project keeps a lead."""

from __future__ import annotations

from django.db import IntegrityError, transaction

from engine.domain.errors import Conflict, InvalidInput, NotFound
from engine.domain.roles import PROJECT_ROLES, Permission
from engine.domain.states import Role
from engine.models import Membership, Project, StateChange, User
from engine.services.people.roles import require

SUBJECT = "membership"


def checked_role(role: str) -> Role:
    """Return a role a member may have. InvalidInput for any other word."""
    if role not in PROJECT_ROLES:
        raise InvalidInput(f"the role must be one of {', '.join(PROJECT_ROLES)}, not {role!r}")
    return Role(role)


@transaction.atomic
def add_member(project: Project, *, user: User, role: Role, actor: User | None) -> Membership:
    """Make the user a member. Conflict when they are one already. The caller checks who may."""
    try:
        with transaction.atomic():
            membership = Membership.objects.create(
                project=project, user=user, role=checked_role(role).value
            )
    except IntegrityError:
        raise Conflict(
            f"there is a member {user.username} already", code="already_member"
        ) from None
    _note(membership, from_role="", to_role=role.value, actor=actor)
    return membership


@transaction.atomic
def change_role(project: Project, *, user: User, role: str, actor: User) -> Membership:
    """Give a member another role. Conflict for the project's last lead."""
    require(actor, Permission.MANAGE_MEMBERS, project)
    to = checked_role(role)
    membership = _locked(project, user=user)
    before = membership.role
    if before == to:
        return membership
    if before == Role.LEAD:
        _require_another_lead(membership)
    membership.role = to.value
    membership.save(update_fields=["role"])
    _note(membership, from_role=before, to_role=to.value, actor=actor)
    return membership


@transaction.atomic
def remove_member(project: Project, *, user: User, actor: User) -> None:
    """Take a member out; what they made stays theirs. A member may leave by themselves.

    Conflict for the project's last lead.
    """
    if user != actor:
        require(actor, Permission.MANAGE_MEMBERS, project)
    membership = _locked(project, user=user)
    if membership.role == Role.LEAD:
        _require_another_lead(membership)
    _note(membership, from_role=membership.role, to_role="", actor=actor)
    membership.delete()


def _locked(project: Project, *, user: User) -> Membership:
    """The membership, with its project locked: two leads must not remove each other at once."""
    Project.objects.select_for_update(no_key=True).get(pk=project.pk)
    membership = project.memberships.select_related("user").filter(user=user).first()
    if membership is None:
        raise NotFound(f"there is no member {user.username} in this project")
    return membership


def _require_another_lead(membership: Membership) -> None:
    leads = membership.project.memberships.filter(role=Role.LEAD.value, user__is_active=True)
    if not leads.exclude(pk=membership.pk).exists():
        raise Conflict(
            f"the project's last lead is {membership.user.username}; make somebody else lead first",
            code="last_lead",
        )


def _note(membership: Membership, *, from_role: str, to_role: str, actor: User | None) -> None:
    StateChange.objects.create(
        subject_type=SUBJECT,
        subject_id=membership.pk,
        from_state=from_role,
        to_state=to_role,
        actor=actor,
        reason=f"{membership.user.username} in {membership.project.slug}",
    )
