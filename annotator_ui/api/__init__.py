"""The JSON API under /api/v1: authentication, parsing and shapes; the services do the work."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from ninja import NinjaAPI
from ninja.errors import HttpError
from ninja.parser import Parser

from annotator_ui.api import (
    assignments,
    errors,
    images,
    imports,
    jobs,
    loop,
    masks,
    models,
    projects,
    suggestions,
)
from annotator_ui.permissions import SessionAuth, TokenAuth

DESCRIPTION = """Scripts send `Authorization: Bearer sgl_...` (make a token on the page of your
account); the browser sends its session cookie and, on writes, the header `X-CSRFToken`.
Every error is `{"code", "message"}`. Outside your projects everything is 404; inside them 403
says which role or scope is missing."""


class JsonParser(Parser):
    def parse_body(self, request: HttpRequest) -> dict[str, Any]:
        """Refuse bodies nested too deeply to parse along with malformed ones."""
        try:
            return super().parse_body(request)
        except RecursionError as error:
            raise HttpError(400, "nested too deeply") from error


api = NinjaAPI(
    title="Segloop",
    version="1",
    description=DESCRIPTION,
    auth=[TokenAuth(), SessionAuth()],
    parser=JsonParser(),
)
errors.install(api)
for part in (projects, assignments, masks, images, suggestions, models, loop, jobs, imports):
    api.add_router("", part.router)
