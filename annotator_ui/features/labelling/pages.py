"""The shell of the labelling page; the TypeScript app in frontend/ fills it."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.middleware.csrf import get_token
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_safe
from django_vite.core.exceptions import DjangoViteAssetNotFoundError

from annotator_ui.front_end import is_built
from annotator_ui.http.addresses import API_BASE
from annotator_ui.http.error_pages import error_page
from annotator_ui.http.guard import domain_errors_as_pages
from annotator_ui.http.lookups import project_by_slug
from annotator_ui.http.permissions import actor_of, signed_in_page
from engine.domain.roles import Permission
from engine.selectors.members import role_in

ENTRY = "src/main.tsx"
NOT_BUILT = "The front end is not built: run “make ui”, then restart the server."


def asked_image(request: HttpRequest) -> str | None:
    """The image of `?image=`, or None when it is absent or no id."""
    try:
        return str(UUID(request.GET.get("image", "")))
    except ValueError:
        return None


@require_safe
@signed_in_page
@domain_errors_as_pages
def label(request: HttpRequest, slug: str) -> HttpResponse:
    """Hand the project, the person and the CSRF token to the app."""
    actor = actor_of(request)
    project = project_by_slug(actor, slug, to=Permission.LABEL)
    if not is_built(ENTRY):
        return error_page(request, 503, message=NOT_BUILT)
    config: dict[str, Any] = {
        "project_slug": project.slug,
        "project_name": project.name,
        "api_base": API_BASE,
        "csrf_cookie_name": settings.CSRF_COOKIE_NAME,
        "csrf_token": get_token(request),
        "image_id": asked_image(request),
        "user": {"name": actor.user.username, "role": role_in(project, actor.user)},
        "static_ort_url": f"{settings.STATIC_URL}ui/ort/",
        "sign_in_url": reverse("sign-in"),
        "instructions": project.instructions,
    }
    context = {"project": project, "config": config}
    try:
        return render(request, "annotator_ui/labelling/page.html", context)
    except DjangoViteAssetNotFoundError:  # built after this process read the manifest
        return error_page(request, 503, message=NOT_BUILT)
