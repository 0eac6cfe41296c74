"""Buttons of a project: a POST that ends on the page it came from."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_POST

from annotator_ui.http.guard import domain_errors_as_messages, domain_errors_as_pages
from annotator_ui.http.lookups import project_by_slug
from annotator_ui.http.permissions import actor_of, signed_in_page
from engine.domain.errors import InvalidInput
from engine.domain.limits import MAX_REASON_CHARACTERS
from engine.domain.roles import Permission
from engine.models import Project

Action = Callable[[HttpRequest, Project], None]


Page = Callable[..., HttpResponse]


def project_action(permission: Permission, *, page: str = "") -> Callable[[Action], Page]:
    """A POST on a project that ends on its page, refusals told as messages.

    page: by name; the one whose button was pressed when empty.
    """
    to_page = page

    def decorate(action: Action) -> Page:
        @require_POST
        @signed_in_page
        @domain_errors_as_pages
        def page(request: HttpRequest, slug: str) -> HttpResponse:
            project = project_by_slug(actor_of(request), slug, to=permission)
            with domain_errors_as_messages(request):
                action(request, project)
            return redirect(to_page or _page_of(request), slug=project.slug)

        return page

    return decorate


def _page_of(request: HttpRequest) -> str:
    """The page whose button was pressed."""
    return "loop" if request.POST.get("to_page") == "loop" else "project"


def reason_of(request: HttpRequest) -> str:
    reason = request.POST.get("reason", "").strip()
    if len(reason) > MAX_REASON_CHARACTERS:
        raise InvalidInput(f"the reason is longer than {MAX_REASON_CHARACTERS} characters")
    return reason
