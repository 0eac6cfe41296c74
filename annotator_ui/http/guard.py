"""Turn domain errors of a page into an error page, or into a message after a form."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse

from annotator_ui.http.error_pages import error_page
from engine.domain.errors import DomainError, NotAllowed, NotFound

Page = Callable[..., HttpResponse]


def domain_errors_as_pages(page: Page) -> Page:
    """Answer 404 or 403 with the reason when a page asks for what is not there or not theirs."""

    @wraps(page)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        try:
            return page(request, *args, **kwargs)
        except NotFound as error:
            return error_page(request, 404, message=error.message)
        except NotAllowed as error:
            return error_page(request, 403, message=error.message)

    return guarded


@contextmanager
def domain_errors_as_messages(request: HttpRequest) -> Iterator[None]:
    """Show a refused action as a message on the next page instead of failing."""
    try:
        yield
    except DomainError as error:
        messages.error(request, error.message)
