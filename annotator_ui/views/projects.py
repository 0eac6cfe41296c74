"""The list of projects and the page of one."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_safe

from annotator_ui.lookups import project_by_slug
from annotator_ui.permissions import has_role, page_for, user_of
from annotator_ui.views import project_page
from annotator_ui.views.guard import domain_errors_as_pages
from engine.domain.errors import DomainError, NotAllowed
from engine.domain.states import Role
from engine.services.projects import create_project


@require_http_methods(["GET", "HEAD", "POST"])
@page_for(Role.ANNOTATOR)
@domain_errors_as_pages
def projects(request: HttpRequest) -> HttpResponse:
    """List the projects; a lead may add one."""
    user = user_of(request)
    is_lead = has_role(user, Role.LEAD)
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
    context = {"cards": project_page.project_cards(), "is_lead": is_lead, "name": name}
    return render(request, "annotator_ui/projects.html", context, status=status)


@require_safe
@page_for(Role.ANNOTATOR)
@domain_errors_as_pages
def project(request: HttpRequest, slug: str) -> HttpResponse:
    """Show a project: everything to a lead, the stage and the images to an annotator."""
    page = project_page.build(
        project_by_slug(slug),
        is_lead=has_role(user_of(request), Role.LEAD),
        page_number=request.GET.get("page", "1"),
    )
    return render(request, "annotator_ui/project/page.html", {"page": page})
