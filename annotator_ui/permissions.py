"""Who may do what over HTTP. An API route or page names the least role it needs.

The services check again; this layer only answers early and in the right form.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any, cast

from django.contrib.auth.models import AnonymousUser
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from ninja.utils import check_csrf

from engine.domain.states import Role

if TYPE_CHECKING:
    from engine.models import User

ROLES = (Role.ANNOTATOR, Role.LEAD, Role.ADMIN)  # each may do all that the one before may
ROLE_PHRASES = {Role.ANNOTATOR: "an annotator", Role.LEAD: "a lead", Role.ADMIN: "an admin"}
SAFE_METHODS = {"GET", "HEAD", "OPTIONS"}


class SignInNeededError(Exception):
    """401 from the API."""


class RoleTooLowError(Exception):
    """403 from the API."""

    def __init__(self, role: Role) -> None:
        super().__init__(f"this needs {ROLE_PHRASES[role]}")


class CsrfError(Exception):
    """403 from the API: a write on a session cookie without its CSRF token."""


def has_role(user: User | AnonymousUser, role: Role) -> bool:
    """Tell whether the user's role is at least the given one."""
    if not user.is_authenticated or not user.is_active:
        return False
    return user.role in ROLES[ROLES.index(role) :]


def user_of(request: HttpRequest) -> User:
    """The signed-in user of a request that passed a permission check."""
    return cast("User", request.user)


class SessionRole:
    """django-ninja authentication: a session of at least this role, and CSRF on writes."""

    def __init__(self, role: Role) -> None:
        self._role = role

    def __call__(self, request: HttpRequest) -> User:
        user = request.user
        if not user.is_authenticated or not user.is_active:
            raise SignInNeededError
        if request.method not in SAFE_METHODS and check_csrf(request) is not None:
            raise CsrfError
        if not has_role(user, self._role):
            raise RoleTooLowError(self._role)
        return user


signed_in = SessionRole(Role.ANNOTATOR)
lead = SessionRole(Role.LEAD)

Page = Callable[..., HttpResponse]


def page_for(role: Role) -> Callable[[Page], Page]:
    """Send anonymous visitors to the sign-in page; answer 403 to a role that is too low."""

    def decorate(page: Page) -> Page:
        @wraps(page)
        def checked(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            if not request.user.is_authenticated:
                here = request.get_full_path() if request.method in SAFE_METHODS else "/"
                return redirect_to_login(here)
            if not has_role(request.user, role):
                raise PermissionDenied(f"This needs {ROLE_PHRASES[role]}.")
            return page(request, *args, **kwargs)

        return checked

    return decorate
