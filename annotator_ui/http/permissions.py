"""Who asks: a signed-in browser or a script with a token. What they may is asked in lookups.py.

The services check again; this layer answers early and in the right form.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import TYPE_CHECKING, Any, cast

from django.conf import settings
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse
from ninja.security import APIKeyCookie, HttpBearer
from ninja.utils import check_csrf

from engine.domain.errors import NotAllowed, NotFound
from engine.domain.roles import RULES, Permission, Scope, allows, refusal, scope_allows
from engine.models import Project
from engine.selectors.members import role_in
from engine.services.people import api_tokens
from engine.services.people.roles import may as account_may

if TYPE_CHECKING:
    from engine.models import ApiToken, User

SAFE_METHODS = {"GET", "HEAD", "OPTIONS"}


class SignInNeededError(Exception):
    """401 from the API."""


class BadTokenError(Exception):
    """401 from the API: a token was sent that opens nothing."""


class CsrfError(Exception):
    """403 from the API: a write on a session cookie without its CSRF token."""


@dataclass(frozen=True, slots=True)
class Actor:
    """A person, and the token they use when it is a script that asks for them."""

    user: User
    token: ApiToken | None = None

    def require(self, permission: Permission, project: Project, *, what: str = "project") -> None:
        """Raise NotFound outside the actor's projects, NotAllowed where the role is too small."""
        role = role_in(project, self.user)
        if role is None or not self._reaches(project):
            raise NotFound(f"there is no such {what}")
        if not allows(role, permission):
            raise NotAllowed(refusal(permission))
        self._require_scope(permission)

    def may(self, permission: Permission, project: Project) -> bool:
        """Tell whether `require` would let it pass."""
        try:
            self.require(permission, project)
        except (NotFound, NotAllowed):
            return False
        return True

    def require_account(self, permission: Permission) -> None:
        """The same for what is asked of the account, such as creating projects."""
        if not account_may(self.user, permission):
            raise NotAllowed(refusal(permission))
        if self.token is not None and self.token.project_id is not None:
            raise NotAllowed("this token is for one project", code="scope_too_small")
        self._require_scope(permission)

    def _reaches(self, project: Project) -> bool:
        return self.token is None or self.token.project_id in (None, project.pk)

    def _require_scope(self, permission: Permission) -> None:
        if self.token is not None and not scope_allows(Scope(self.token.scope), permission):
            needed = RULES[permission].scope
            raise NotAllowed(
                f"this needs a token of scope {needed}, this one has {self.token.scope}",
                code="scope_too_small",
            )


class TokenAuth(HttpBearer):
    """`Authorization: Bearer sgl_...`; no cookie is looked at, so no CSRF token is needed."""

    def authenticate(self, request: HttpRequest, token: str) -> Actor:
        found = api_tokens.find_token(token)
        if found is None:
            raise BadTokenError
        request.user = found.user
        return Actor(found.user, found)


class SessionAuth(APIKeyCookie):
    """The session cookie of a signed-in browser, with the CSRF header on writes."""

    param_name = settings.SESSION_COOKIE_NAME

    def __init__(self) -> None:
        super().__init__(csrf=False)  # checked below, with a message of our own

    def authenticate(self, request: HttpRequest, key: str | None) -> Actor:
        if not request.user.is_authenticated or not request.user.is_active:
            raise SignInNeededError
        if request.method not in SAFE_METHODS and check_csrf(request) is not None:
            raise CsrfError
        return Actor(request.user)


def actor_of(request: HttpRequest) -> Actor:
    """Who asks, of a request that passed an authentication check."""
    found = getattr(request, "auth", None)
    return found if isinstance(found, Actor) else Actor(user_of(request))


def user_of(request: HttpRequest) -> User:
    """The person of a request that passed an authentication check."""
    return cast("User", request.user)


Page = Callable[..., HttpResponse]


def signed_in_page(page: Page) -> Page:
    """Send anonymous visitors to the sign-in page and, after a GET, back."""

    @wraps(page)
    def checked(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if not request.user.is_authenticated:
            here = request.get_full_path() if request.method in SAFE_METHODS else "/"
            return redirect_to_login(here)
        return page(request, *args, **kwargs)

    return checked
