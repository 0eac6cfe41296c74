"""People: accounts, passwords and one-time sign-in links."""

from __future__ import annotations

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.utils import timezone

from engine.domain.errors import Conflict, InvalidInput, NotAllowed
from engine.domain.roles import ACCOUNT_ROLES
from engine.domain.sign_in import SIGN_IN_LINK_LIFE
from engine.domain.states import Role
from engine.models import SignInToken, User
from engine.services.people.one_time_secrets import new_secret, secret_sha256


def create_user(username: str, *, role: str, password: str | None = None) -> User:
    """Create an account; without a password only sign-in links open it.

    role: of the account (annotator, lead, admin); roles in projects are memberships.
    """
    user = User(username=username, role=checked_account_role(role).value)
    try:
        user.clean_fields(exclude={"password"})
        if password is not None:
            validate_password(password, user)
    except ValidationError as error:
        raise InvalidInput("; ".join(error.messages)) from None
    user.set_password(password)
    try:
        with transaction.atomic():
            user.save()
    except IntegrityError:
        raise Conflict(f"there is already a user {username!r}", code="name_taken") from None
    return user


def checked_account_role(role: str) -> Role:
    """Return a role an account may have. InvalidInput for any other word."""
    if role not in ACCOUNT_ROLES:
        raise InvalidInput(f"role must be one of {', '.join(ACCOUNT_ROLES)}, not {role!r}")
    return Role(role)


@transaction.atomic
def change_password(user: User, *, old: str, new: str) -> None:
    """Set another password; the old one is asked for unless the account has none yet.

    Every other session of the user ends, as sessions carry a hash of the password.
    """
    if user.has_usable_password() and not user.check_password(old):
        raise NotAllowed("the present password is not right", code="wrong_password")
    try:
        validate_password(new, user)
    except ValidationError as error:
        raise InvalidInput("; ".join(error.messages)) from None
    user.set_password(new)
    user.save(update_fields=["password"])


@transaction.atomic
def change_account(user: User, *, role: str | None = None, is_active: bool | None = None) -> None:
    """Give an account another role, or block or unblock it. Conflict for the last active admin."""
    if role is not None:
        user.role = checked_account_role(role).value
    if is_active is not None:
        user.is_active = is_active
    admins = User.objects.select_for_update(no_key=True).filter(
        role=Role.ADMIN.value, is_active=True
    )
    left = {admin.pk for admin in admins} - {user.pk}
    was_admin = any(admin.pk == user.pk for admin in admins)
    if was_admin and not left and not (user.is_admin and user.is_active):
        raise Conflict(f"{user.username} is the last admin; make somebody else admin first")
    user.save(update_fields=["role", "is_active"])


def issue_sign_in_token(user: User) -> str:
    """Make a token that signs the user in once within a day. It is shown now and never again."""
    token = new_secret()
    SignInToken.objects.create(
        token_sha256=secret_sha256(token), user=user, expires_at=timezone.now() + SIGN_IN_LINK_LIFE
    )
    return token


@transaction.atomic
def redeem_sign_in_token(token: str) -> User:
    """Use a token up and return its user. NotAllowed when unknown, used, expired or blocked."""
    now = timezone.now()
    usable = SignInToken.objects.filter(
        token_sha256=secret_sha256(token),
        used_at__isnull=True,
        expires_at__gt=now,
        user__is_active=True,
    )
    # Two tabs may open one link: the update, not a read before it, decides who was first.
    if usable.update(used_at=now) != 1:
        raise NotAllowed(
            "This sign-in link has been used or has expired. Ask for a new one.",
            code="sign_in_link_spent",
        )
    return SignInToken.objects.select_related("user").get(token_sha256=secret_sha256(token)).user
