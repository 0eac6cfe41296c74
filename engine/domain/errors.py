"""What a use case may refuse. Each error carries a sentence for a person and a stable code.

HTTP statuses live in annotator_ui; exit codes live in the commands.
"""

# ruff: noqa: N818 - named after what happened, as a caller reads them

from __future__ import annotations


class DomainError(Exception):
    """A refusal with a reason; never a bug of ours."""

    default_code = "refused"

    def __init__(self, message: str, *, code: str = "", **facts: object) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or self.default_code
        self.facts = facts


class InvalidInput(DomainError):
    """What was handed in is wrong and stays wrong."""

    default_code = "invalid_input"


class NotAllowed(DomainError):
    """This person may not do this."""

    default_code = "not_allowed"


class NotFound(DomainError):
    """There is no such thing."""

    default_code = "not_found"


class Conflict(DomainError):
    """The state of things forbids it now."""

    default_code = "conflict"


class StaleState(Conflict):
    """Somebody else moved the row first, or the move is not in the table."""

    default_code = "stale_state"


class NotReady(DomainError):
    """It will work later: something it needs is still being made."""

    default_code = "not_ready"
