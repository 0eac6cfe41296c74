"""Tables."""

from engine.models.user import User

__all__ = ["User"]
