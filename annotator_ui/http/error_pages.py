"""Error pages in the look of the site; API addresses get JSON from ApiErrorMiddleware instead."""

from __future__ import annotations

import sys

from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

PAGES = {
    400: ("Bad request", "The browser sent something this server cannot read."),
    403: ("Not allowed", "Your role does not allow this. Ask the lead of the project."),
    404: ("Not found", "There is nothing at this address, or you may not see it."),
    500: ("Something went wrong", "The error has been logged. Nothing was half-saved; try again."),
    503: ("Not ready", "This part of the server is not ready yet."),
}


def error_page(request: HttpRequest, status: int, *, message: str = "") -> HttpResponse:
    """Render the page of a status code; it needs neither the database nor a session."""
    title, default = PAGES[status]
    context = {"status": status, "title": title, "message": message or default}
    return render(request, "annotator_ui/error.html", context, status=status)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    return error_page(request, 400)


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    return error_page(request, 403, message=str(exception))


def page_not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    return error_page(request, 404)


def server_error(request: HttpRequest) -> HttpResponse:
    """Answer what nobody caught: 503 when the database is away, which soon passes, else 500."""
    if isinstance(sys.exc_info()[1], (OperationalError, InterfaceError)):
        response = error_page(
            request, 503, message="The database is not there at the moment. Try again in a moment."
        )
        response.headers["Retry-After"] = "1"
        return response
    return error_page(request, 500)


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Answer a form whose CSRF token is missing or stale (settings.CSRF_FAILURE_VIEW)."""
    return error_page(
        request,
        403,
        message="The form was too old or did not come from this site. Go back, reload, try again.",
    )
