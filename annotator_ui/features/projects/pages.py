"""The list of projects and the page of one."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_safe

from annotator_ui.features.projects import project_page
from annotator_ui.http.guard import domain_errors_as_pages
from annotator_ui.http.lookups import project_by_slug
from annotator_ui.http.permissions import actor_of, signed_in_page
from engine.domain.errors import DomainError, NotAllowed
from engine.domain.roles import Permission
from engine.services.people import roles
from engine.services.projects.projects import create_project


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in_page
@domain_errors_as_pages
def projects(request: HttpRequest) -> HttpResponse:
    """List one's projects; who may create projects finds the form."""
    user = actor_of(request).user
    name = request.POST.get("name", "").strip()
    status = 200
    if request.method == "POST":
        try:
            project = create_project(name, actor=user)
            return redirect("project", slug=project.slug)
        except NotAllowed:
            raise
        except DomainError as error:
            messages.error(request, error.message)
            status = 422
    context = {
        "cards": project_page.project_cards(user),
        "may_create": roles.may(user, Permission.CREATE_PROJECTS),
        "name": name,
    }
    return render(request, "annotator_ui/projects/list.html", context, status=status)


@require_safe
@signed_in_page
@domain_errors_as_pages
def project(request: HttpRequest, slug: str) -> HttpResponse:
    """Show a project: everything to a lead, the stage and the images to an annotator."""
    actor = actor_of(request)
    found = project_by_slug(actor, slug, to=Permission.VIEW)
    page = project_page.build(
        found,
        is_lead=actor.may(Permission.SEE_JOBS, found),
        page_number=request.GET.get("page", "1"),
    )
    return render(request, "annotator_ui/projects/page.html", {"page": page})
