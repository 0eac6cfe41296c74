"""Who belongs to a project: list, roles, invitations. For leads."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from annotator_ui.http.forms import whole_number
from annotator_ui.http.guard import domain_errors_as_messages, domain_errors_as_pages
from annotator_ui.http.lookups import invitation_by_id, membership_by_id, project_by_slug
from annotator_ui.http.permissions import actor_of, signed_in_page, user_of
from engine.domain.errors import DomainError
from engine.domain.roles import PROJECT_ROLES, Permission
from engine.domain.sign_in import INVITATION_LIFE_DAYS, MAX_INVITATION_LIFE_DAYS
from engine.models import Project
from engine.selectors.members import members_of, open_invitations
from engine.services.people import invitations
from engine.services.people import members as membership

TEMPLATE = "annotator_ui/members/page.html"


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@signed_in_page
@domain_errors_as_pages
def members(request: HttpRequest, slug: str) -> HttpResponse:
    """List members and open invitations; a POST invites, and shows the link this once."""
    project = project_by_slug(actor_of(request), slug, to=Permission.MANAGE_MEMBERS)
    if request.method != "POST":
        return render(request, TEMPLATE, _context(project))
    try:
        invitation, secret = invitations.invite(
            project,
            role=request.POST.get("role", ""),
            name=request.POST.get("name", ""),
            life_days=whole_number(request.POST.get("life_days", ""), what="the days"),
            actor=user_of(request),
        )
    except DomainError as error:
        messages.error(request, error.message)
        return render(request, TEMPLATE, _context(project), status=422)
    link = request.build_absolute_uri(f"/join/{secret}/")
    context = {**_context(project), "made": invitation, "link": link}
    return render(request, TEMPLATE, context, status=201)


@require_POST
@signed_in_page
@domain_errors_as_pages
def change_role(request: HttpRequest, slug: str, membership_id: UUID) -> HttpResponse:
    project = project_by_slug(actor_of(request), slug, to=Permission.MANAGE_MEMBERS)
    row = membership_by_id(project, membership_id)
    with domain_errors_as_messages(request):
        role = request.POST.get("role", "")
        membership.change_role(project, user=row.user, role=role, actor=user_of(request))
        messages.success(request, f"The role of {row.user.username} is now {role}.")
    return _back(project)


@require_POST
@signed_in_page
@domain_errors_as_pages
def remove(request: HttpRequest, slug: str, membership_id: UUID) -> HttpResponse:
    project = project_by_slug(actor_of(request), slug, to=Permission.MANAGE_MEMBERS)
    row = membership_by_id(project, membership_id)
    with domain_errors_as_messages(request):
        membership.remove_member(project, user=row.user, actor=user_of(request))
        messages.success(request, f"Removed: {row.user.username} is no longer a member.")
        if row.user == request.user and not row.user.is_admin:
            return redirect("projects")
    return _back(project)


@require_POST
@signed_in_page
@domain_errors_as_pages
def revoke_invitation(request: HttpRequest, slug: str, invitation_id: UUID) -> HttpResponse:
    project = project_by_slug(actor_of(request), slug, to=Permission.MANAGE_MEMBERS)
    invitation = invitation_by_id(project, invitation_id)
    with domain_errors_as_messages(request):
        invitations.revoke(invitation, actor=user_of(request))
        messages.success(request, "The invitation no longer works.")
    return _back(project)


def _back(project: Project) -> HttpResponse:
    return redirect("members", slug=project.slug)


def _context(project: Project) -> dict[str, Any]:
    return {
        "project": project,
        "members": members_of(project),
        "invitations": open_invitations(project),
        "roles": PROJECT_ROLES,
        "life_days": INVITATION_LIFE_DAYS,
        "max_life_days": MAX_INVITATION_LIFE_DAYS,
    }
