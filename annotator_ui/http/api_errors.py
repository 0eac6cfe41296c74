"""The single place where an error becomes a status code and {"code", "message"}."""

from __future__ import annotations

import logging
from typing import Any

from django.core.exceptions import (
    PermissionDenied,
    RequestDataTooBig,
    SuspiciousOperation,
    TooManyFilesSent,
)
from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse
from ninja import NinjaAPI
from ninja.errors import AuthenticationError, HttpError, ValidationError

from annotator_ui.http.permissions import BadTokenError, CsrfError, SignInNeededError
from engine.domain.errors import Conflict, DomainError, InvalidInput, NotAllowed, NotFound, NotReady
from masks.rle import RleError

logger = logging.getLogger(__name__)

DOMAIN_STATUS: dict[type[DomainError], int] = {
    InvalidInput: 422,
    NotAllowed: 403,
    NotFound: 404,
    Conflict: 409,
    NotReady: 409,
}
PLAIN: dict[type[Exception], tuple[int, str, str]] = {
    SignInNeededError: (401, "not_signed_in", "sign in first"),
    BadTokenError: (401, "bad_token", "this token is unknown, was revoked or has expired"),
    AuthenticationError: (401, "not_signed_in", "sign in first"),
    CsrfError: (403, "csrf_failed", "the X-CSRFToken header is missing or wrong; reload"),
    PermissionDenied: (403, "not_allowed", "this is not allowed"),
    Http404: (404, "not_found", "there is nothing at this address"),
    RequestDataTooBig: (413, "too_large", "the request body is too large"),
    TooManyFilesSent: (413, "too_many_files", "too many files in one request; send fewer"),
    SuspiciousOperation: (400, "bad_request", "the request could not be read"),
}
RETRY_AFTER_S = "1"
DATABASE_AWAY = "the database is not there at the moment; nothing was written, try again"
HTTP_ERROR_CODES = {400: "bad_request", 403: "not_allowed", 404: "not_found", 429: "too_many"}


def domain_status(error: DomainError) -> int:
    """Status code of a domain error; subclasses count as their nearest listed parent."""
    for kind in type(error).__mro__:
        if kind in DOMAIN_STATUS:
            return DOMAIN_STATUS[kind]
    return 400


def field_errors(errors: list[dict[str, Any]]) -> list[dict[str, str]]:
    """Name each refused field by its path in the body, without echoing its value."""
    fields = []
    for error in errors:
        # django-ninja puts ("body", <parameter name>) first; a caller knows neither.
        location = [str(part) for part in error["loc"]]
        named = location[2:] if location[:1] == ["body"] else location[1:]
        last = location[-1] if location else "body"
        fields.append({"field": ".".join(named) or last, "message": error["msg"]})
    return fields


def _install_database_away(api: NinjaAPI) -> None:
    """Answer 503 while the database restarts: a client keeps its mask and sends it again."""

    def on_database_away(request: HttpRequest, error: Exception | type[Exception]) -> HttpResponse:
        logger.warning("the database did not answer %s: %s", request.path_info, error)
        body = {"code": "database_away", "message": DATABASE_AWAY}
        response = api.create_response(request, body, status=503)
        response.headers["Retry-After"] = RETRY_AFTER_S
        return response

    for kind in (OperationalError, InterfaceError):
        api.add_exception_handler(kind, on_database_away)


def install(api: NinjaAPI) -> None:
    """Register every handler on the API."""
    _install_database_away(api)

    def answer(
        request: HttpRequest, status: int, code: str, message: str, **more: Any
    ) -> HttpResponse:
        body = {"code": code, "message": message, **more}
        response = api.create_response(request, body, status=status)
        if status == 401:
            response.headers["WWW-Authenticate"] = "Bearer"
        return response

    @api.exception_handler(DomainError)
    def on_domain_error(request: HttpRequest, error: DomainError) -> HttpResponse:
        return answer(request, domain_status(error), error.code, error.message)

    @api.exception_handler(RleError)
    def on_rle_error(request: HttpRequest, error: RleError) -> HttpResponse:
        return answer(request, 422, "invalid_rle", f"rle: {error}")

    @api.exception_handler(ValidationError)
    def on_validation_error(request: HttpRequest, error: ValidationError) -> HttpResponse:
        fields = field_errors(error.errors)
        message = "; ".join(f"{one['field']}: {one['message']}" for one in fields[:5])
        return answer(request, 422, "invalid_input", message, fields=fields[:50])

    @api.exception_handler(HttpError)
    def on_http_error(request: HttpRequest, error: HttpError) -> HttpResponse:
        code = HTTP_ERROR_CODES.get(error.status_code, "error")
        message = "the body is not valid JSON" if error.status_code == 400 else str(error)
        return answer(request, error.status_code, code, message)

    def on_plain(request: HttpRequest, error: Exception | type[Exception]) -> HttpResponse:
        status, code, message = next(PLAIN[kind] for kind in type(error).__mro__ if kind in PLAIN)
        return answer(request, status, code, message)

    for kind in PLAIN:
        api.add_exception_handler(kind, on_plain)

    @api.exception_handler(Exception)
    def on_bug(request: HttpRequest, error: Exception) -> HttpResponse:
        logger.exception("unhandled error in %s %s", request.method, request.path_info)
        return answer(
            request, 500, "server_error", "something went wrong on the server; it has been logged"
        )
