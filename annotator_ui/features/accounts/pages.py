"""One's own account: the password, and tokens for scripts."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.contrib.auth import update_session_auth_hash
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from annotator_ui.features.accounts.sign_in import address_of
from annotator_ui.http.addresses import API_BASE
from annotator_ui.http.forms import whole_number
from annotator_ui.http.guard import domain_errors_as_messages, domain_errors_as_pages
from annotator_ui.http.lookups import own_token_by_id, project_by_slug
from annotator_ui.http.permissions import actor_of, signed_in_page, user_of
from annotator_ui.wording import SCOPES
from engine.domain.errors import DomainError, InvalidInput
from engine.domain.roles import Permission
from engine.domain.sign_in import MAX_TOKEN_LIFE_DAYS, TOKEN_LIFE_DAYS, TOKEN_NAME_CHARACTERS
from engine.models import Project, User
from engine.selectors.members import live_tokens, projects_of
from engine.services.people import api_tokens, users
from engine.services.people import sign_in as attempts

TEMPLATE = "annotator_ui/accounts/account.html"


@never_cache
@require_safe
@signed_in_page
def account(request: HttpRequest) -> HttpResponse:
    """Show the password form and the live tokens."""
    return render(request, TEMPLATE, _context(user_of(request)))


@never_cache
@sensitive_post_parameters()
@require_POST
@signed_in_page
def password(request: HttpRequest) -> HttpResponse:
    """Change the password. The old one is asked for under the same throttle as signing in."""
    user = user_of(request)
    new = request.POST.get("new", "")
    try:
        if new != request.POST.get("new_again", ""):
            raise InvalidInput("the two new passwords are not the same")
        attempts.begin_attempt(user.username, address=address_of(request))
        users.change_password(user, old=request.POST.get("old", ""), new=new)
        attempts.succeeded(user.username, address=address_of(request))
    except DomainError as error:
        messages.error(request, error.message)
        return render(request, TEMPLATE, _context(user), status=422)
    update_session_auth_hash(request, user)  # this browser stays signed in, others do not
    messages.success(request, "The password is changed; other browsers are signed out.")
    return redirect("account")


@never_cache
@require_http_methods(["POST"])
@signed_in_page
def new_token(request: HttpRequest) -> HttpResponse:
    """Make a token and show it this once."""
    user = user_of(request)
    try:
        token, secret = api_tokens.create_token(
            user,
            name=request.POST.get("name", ""),
            scope=request.POST.get("scope", ""),
            project=_asked_project(request),
            life_days=whole_number(request.POST.get("life_days", ""), what="the days"),
        )
    except DomainError as error:
        messages.error(request, error.message)
        return render(request, TEMPLATE, _context(user), status=422)
    context = {**_context(user), "made": token, "secret": secret}
    return render(request, TEMPLATE, context, status=201)


@require_POST
@signed_in_page
@domain_errors_as_pages
def revoke_token(request: HttpRequest, token_id: UUID) -> HttpResponse:
    token = own_token_by_id(actor_of(request), token_id)
    with domain_errors_as_messages(request):
        api_tokens.revoke_token(token, actor=user_of(request))
        messages.success(request, f"The token {token.name} no longer works.")
    return redirect("account")


def _asked_project(request: HttpRequest) -> Project | None:
    slug = request.POST.get("project", "")
    return project_by_slug(actor_of(request), slug, to=Permission.VIEW) if slug else None


def _context(user: User) -> dict[str, Any]:
    return {
        "tokens": live_tokens(user),
        "projects": projects_of(user).order_by("name"),
        "scopes": SCOPES.items(),
        "life_days": TOKEN_LIFE_DAYS,
        "max_life_days": MAX_TOKEN_LIFE_DAYS,
        "name_characters": TOKEN_NAME_CHARACTERS,
        "has_password": user.has_usable_password(),
        "docs_url": f"{API_BASE}/docs",
    }
