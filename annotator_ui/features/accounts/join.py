"""Opening an invitation: pick a name and a password, or join with the account one has."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth import login
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from annotator_ui.features.accounts.sign_in import BACKEND
from annotator_ui.http.permissions import user_of
from engine.domain.errors import DomainError, InvalidInput, NotFound
from engine.models import Invitation, User
from engine.services.people import invitations

TEMPLATE = "annotator_ui/accounts/join.html"


@never_cache
@sensitive_post_parameters()
@require_http_methods(["GET", "HEAD", "POST"])
def join(request: HttpRequest, token: str) -> HttpResponse:
    """Show a form on GET, so that a link scanner cannot use the link up; join on POST."""
    try:
        invitation = invitations.find(token)
    except NotFound as error:
        return render(request, TEMPLATE, {"spent": error.message}, status=404)
    context = {"invitation": invitation, "username": request.POST.get("username", "")}
    if request.method != "POST":
        return render(request, TEMPLATE, context)
    try:
        user = _accept(request, token)
    except DomainError as error:
        return render(request, TEMPLATE, {**context, "error": error.message}, status=422)
    return _welcome(request, invitation, user)


def _accept(request: HttpRequest, token: str) -> User:
    if request.user.is_authenticated:
        user = user_of(request)
        invitations.accept(token, user=user)
        return user
    password = request.POST.get("password", "")
    if password != request.POST.get("password_again", ""):
        raise InvalidInput("the two passwords are not the same")
    return invitations.accept_as_new(
        token, username=request.POST.get("username", "").strip(), password=password
    )


def _welcome(request: HttpRequest, invitation: Invitation, user: User) -> HttpResponse:
    if not request.user.is_authenticated:
        login(request, user, backend=BACKEND)
    messages.success(request, f"You are now {invitation.role} in {invitation.project.name}.")
    return redirect("project", slug=invitation.project.slug)
