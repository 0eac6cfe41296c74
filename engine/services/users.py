"""People: accounts and one-time sign-in links."""

from __future__ import annotations

import hashlib
import secrets
from datetime import timedelta

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.utils import timezone

from engine.domain.errors import Conflict, InvalidInput, NotAllowed
from engine.domain.states import Role
from engine.models import SignInToken, User

TOKEN_BYTES = 32
TOKEN_LIFE = timedelta(hours=24)


def create_user(username: str, *, role: str, password: str | None = None) -> User:
    """Create an account; without a password only sign-in links open it."""
    if role not in list(Role):
        raise InvalidInput(f"role must be one of {', '.join(Role)}, not {role!r}")
    user = User(username=username, role=role)
    user.set_password(password)
    try:
        user.clean_fields()
        if password is not None:
            validate_password(password, user)
    except ValidationError as error:
        raise InvalidInput("; ".join(error.messages)) from None
    try:
        with transaction.atomic():
            user.save()
    except IntegrityError:
        raise Conflict(f"there is already a user {username!r}") from None
    return user


def issue_sign_in_token(user: User) -> str:
    """Make a token that signs the user in once within a day. It is shown now and never again."""
    token = secrets.token_urlsafe(TOKEN_BYTES)
    SignInToken.objects.create(
        token_sha256=_hash(token), user=user, expires_at=timezone.now() + TOKEN_LIFE
    )
    return token


@transaction.atomic
def redeem_sign_in_token(token: str) -> User:
    """Use a token up and return its user. NotAllowed when unknown, used, expired or blocked."""
    now = timezone.now()
    usable = SignInToken.objects.filter(
        token_sha256=_hash(token), used_at__isnull=True, expires_at__gt=now, user__is_active=True
    )
    # Two tabs may open one link: the update, not a read before it, decides who was first.
    if usable.update(used_at=now) != 1:
        raise NotAllowed(
            "This sign-in link has been used or has expired. Ask for a new one.",
            code="sign_in_link_spent",
        )
    return SignInToken.objects.select_related("user").get(token_sha256=_hash(token)).user


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
