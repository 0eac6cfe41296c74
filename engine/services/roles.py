"""Who may do what. The HTTP layer checks too; this is the check that counts."""

from __future__ import annotations

from engine.domain.errors import NotAllowed
from engine.models import User


def require_lead(actor: User, *, to: str) -> None:
    """Raise NotAllowed unless the actor is a lead or an admin."""
    if not actor.is_lead:
        raise NotAllowed(f"only a lead may {to}")
