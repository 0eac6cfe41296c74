"""Which answers an operation may give: its own, and the errors that go with what it takes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from annotator_ui.schemas import ErrorOut, InvalidOut

ALWAYS = (400, 401, 403)
"""A malformed request or host; no session or token; CSRF, or a role or scope too small."""


def answers(good: Any, *errors: int) -> dict[int, Any]:
    """Return ninja's `response`. good: the shape of a 200, or shapes by status code."""
    by_status = good if isinstance(good, Mapping) else {200: good}
    failures = dict.fromkeys((*ALWAYS, *errors), ErrorOut)
    if 422 in failures:
        failures[422] = InvalidOut
    return {**failures, **by_status}


def files(content_types: tuple[str, ...], *errors: int) -> dict[str, Any]:
    """Return the keyword arguments of an operation that answers with a stored file."""
    content = {name: {"schema": {"type": "string", "format": "binary"}} for name in content_types}
    return {
        "response": dict.fromkeys((*ALWAYS, *errors), ErrorOut),
        "openapi_extra": {
            "responses": {
                200: {"description": "The bytes; the ETag is their SHA-256", "content": content},
                304: {"description": "The client holds these bytes (If-None-Match)"},
            }
        },
    }
