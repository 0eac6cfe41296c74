"""The JSON API under /api/: authentication, parsing and shapes; the services do the work."""

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
    jobs,
    masks,
    models,
    projects,
    suggestions,
)
from annotator_ui.permissions import signed_in


class JsonParser(Parser):
    def parse_body(self, request: HttpRequest) -> dict[str, Any]:
        """Refuse bodies nested too deeply to parse along with malformed ones."""
        try:
            return super().parse_body(request)
        except RecursionError as error:
            raise HttpError(400, "nested too deeply") from error


api = NinjaAPI(title="Segloop", version="1", auth=signed_in, docs_url=None, parser=JsonParser())
errors.install(api)
for part in (projects, assignments, masks, images, suggestions, models, jobs):
    api.add_router("", part.router)
