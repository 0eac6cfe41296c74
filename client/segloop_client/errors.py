"""What can go wrong, as exceptions that say what and why."""

# ruff: noqa: N818 - named after what happened, as a caller reads them

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class SegloopError(Exception):
    """Whatever this client raises."""


class ApiError(SegloopError):
    """The server refused. Sending the same again is refused again, unless `is_temporary`."""

    def __init__(self, status: int, code: str, message: str, body: Mapping[str, Any]) -> None:
        super().__init__(f"{status} {code}: {message}")
        self.status = status
        self.code = code
        self.message = message
        self.body = body
        """The whole answer: a 422 also names the fields or the files that were refused."""

    @property
    def is_temporary(self) -> bool:
        """Tell whether it may work later: something is still being made, or the server is busy."""
        return self.status >= 500 or self.status == 429 or self.code == "not_ready"


class Unreachable(SegloopError):
    """The server could not be reached, or the connection broke, also when tried again."""


class JobFailed(SegloopError):
    """A job that was waited for came to nothing."""


class WaitedTooLong(SegloopError):
    """A job was not over in the time the caller gave it; it goes on."""


class ChecksumError(SegloopError):
    """A downloaded file is not the one the server announced; nothing was kept."""
