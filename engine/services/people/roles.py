"""Who may do what. The HTTP layer checks too; this is the check that counts."""

from __future__ import annotations

from engine.domain.errors import NotAllowed
from engine.domain.roles import Permission, allows, refusal
from engine.models import Project, User
from engine.selectors.members import role_in


def require(actor: User, permission: Permission, project: Project) -> None:
    """Raise NotAllowed unless the actor's role in the project is enough."""
    role = role_in(project, actor)
    if role is None or not allows(role, permission):
        raise NotAllowed(refusal(permission))


def require_account(actor: User, permission: Permission) -> None:
    """The same for what is asked of the account alone, such as creating projects."""
    if not may(actor, permission):
        raise NotAllowed(refusal(permission))


def may(actor: User, permission: Permission) -> bool:
    """Tell whether the account's own role is enough."""
    return allows(actor.account_role, permission)
