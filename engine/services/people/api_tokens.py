"""Tokens for scripts: made once, shown once, checked at every request."""

from __future__ import annotations

from datetime import timedelta

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from engine.domain.errors import Conflict, InvalidInput, NotAllowed, NotFound
from engine.domain.roles import LEAST_ROLE_OF_SCOPE, RANKS, ROLE_PHRASES, Scope
from engine.domain.sign_in import (
    MAX_TOKEN_LIFE_DAYS,
    MAX_TOKENS_PER_USER,
    TOKEN_LIFE_DAYS,
    TOKEN_NAME_CHARACTERS,
    TOKEN_PREFIX,
    TOKEN_SEEN_EVERY,
)
from engine.domain.states import Role
from engine.models import ApiToken, Project, User
from engine.selectors.members import live_tokens, role_in
from engine.services.people.one_time_secrets import new_secret, secret_sha256
from engine.services.text import clean_line

HINT_CHARACTERS = len(TOKEN_PREFIX) + 4


@transaction.atomic
def create_token(
    user: User,
    *,
    name: str,
    scope: str,
    project: Project | None = None,
    life_days: int = TOKEN_LIFE_DAYS,
) -> tuple[ApiToken, str]:
    """Make a token for the user and its secret, which is shown now and never again.

    NotAllowed for a scope beyond the user's role; NotFound for a project they do not belong to.
    """
    if scope not in list(Scope):
        raise InvalidInput(f"the scope must be one of {', '.join(Scope)}, not {scope!r}")
    if not 1 <= life_days <= MAX_TOKEN_LIFE_DAYS:
        raise InvalidInput(f"a token lives 1 to {MAX_TOKEN_LIFE_DAYS} days")
    _require_role_for(Scope(scope), user=user, project=project)
    User.objects.select_for_update(no_key=True).get(pk=user.pk)  # tokens are counted one by one
    if live_tokens(user).count() >= MAX_TOKENS_PER_USER:
        raise Conflict(f"you have {MAX_TOKENS_PER_USER} tokens; revoke some first")
    secret = new_secret(TOKEN_PREFIX)
    token = ApiToken.objects.create(
        user=user,
        name=clean_line(name, what="the name", max_characters=TOKEN_NAME_CHARACTERS, required=True),
        token_sha256=secret_sha256(secret),
        hint=secret[:HINT_CHARACTERS],
        scope=scope,
        project=project,
        expires_at=timezone.now() + timedelta(days=life_days),
    )
    return token, secret


def revoke_token(token: ApiToken, *, actor: User) -> None:
    """End a token of one's own. Revoking it again changes nothing."""
    if token.user_id != actor.pk:
        raise NotAllowed("this token belongs to somebody else")
    ApiToken.objects.filter(pk=token.pk, revoked_at__isnull=True).update(revoked_at=timezone.now())


def find_token(secret: str) -> ApiToken | None:
    """Return the live token of a secret, and note that it was used; None when it opens nothing."""
    now = timezone.now()
    token = (
        ApiToken.objects.filter(
            token_sha256=secret_sha256(secret),
            revoked_at__isnull=True,
            expires_at__gt=now,
            user__is_active=True,
        )
        .select_related("user")
        .first()
    )
    if token is not None:
        stale = Q(last_used_at__isnull=True) | Q(last_used_at__lt=now - TOKEN_SEEN_EVERY)
        if token.last_used_at is None or token.last_used_at < now - TOKEN_SEEN_EVERY:
            ApiToken.objects.filter(stale, pk=token.pk).update(last_used_at=now)
    return token


def _require_role_for(scope: Scope, *, user: User, project: Project | None) -> None:
    least = LEAST_ROLE_OF_SCOPE[scope]
    if project is not None:
        role = role_in(project, user)
        if role is None:
            raise NotFound("there is no such project")
        best = role
    else:
        roles = [Role(one) for one in user.memberships.values_list("role", flat=True)]
        best = max([*roles, user.account_role], key=RANKS.index)
    if RANKS.index(best) < RANKS.index(least):
        where = "in this project" if project else "anywhere"
        raise NotAllowed(
            f"a token of scope {scope} needs {ROLE_PHRASES[least]}; you are none {where}"
        )
