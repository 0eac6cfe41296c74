"""The JSON API under /api/v1: authentication, parsing and shapes; the services do the work."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from ninja import NinjaAPI
from ninja.errors import HttpError
from ninja.operation import Operation
from ninja.parser import Parser

from annotator_ui.features.exports import api as exports
from annotator_ui.features.images import api as images
from annotator_ui.features.imports import api as imports
from annotator_ui.features.jobs import api as jobs
from annotator_ui.features.labelling import assignments_api, masks_api, suggestions_api
from annotator_ui.features.loop import api as loop
from annotator_ui.features.model_versions import api as model_versions
from annotator_ui.features.projects import api as projects
from annotator_ui.http import api_errors
from annotator_ui.http.permissions import SessionAuth, TokenAuth

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


class SegloopApi(NinjaAPI):
    def get_openapi_operation_id(self, operation: Operation) -> str:
        """Name an operation by its feature and its function, e.g. `jobs_cancel`."""
        view = operation.view_func
        feature = view.__module__.split(".")[-2]
        return f"{feature}_{view.__name__}"


api = SegloopApi(
    title="Segloop",
    version="1",
    description=DESCRIPTION,
    auth=[TokenAuth(), SessionAuth()],
    parser=JsonParser(),
)
api_errors.install(api)
for part in (
    projects,
    assignments_api,
    masks_api,
    images,
    suggestions_api,
    model_versions,
    loop,
    jobs,
    exports,
    imports,
):
    api.add_router("", part.router)
