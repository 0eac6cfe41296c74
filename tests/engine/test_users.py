"""Accounts and one-time links."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from engine.domain.errors import Conflict, InvalidInput, NotAllowed
from engine.models import SignInToken
from engine.services.people import users
from tests import factories

pytestmark = pytest.mark.django_db


def test_a_link_signs_in_once() -> None:
    user = factories.make_user("ann")
    token = users.issue_sign_in_token(user)

    assert users.redeem_sign_in_token(token) == user

    with pytest.raises(NotAllowed, match="has been used or has expired"):
        users.redeem_sign_in_token(token)


def test_the_token_itself_is_not_stored() -> None:
    token = users.issue_sign_in_token(factories.make_user())

    stored = SignInToken.objects.get()
    assert token not in str(stored.__dict__)
    assert len(token) >= 43  # 32 random bytes


def test_a_link_dies_after_a_day() -> None:
    token = users.issue_sign_in_token(factories.make_user())
    SignInToken.objects.update(expires_at=timezone.now() - timedelta(seconds=1))

    with pytest.raises(NotAllowed):
        users.redeem_sign_in_token(token)


def test_a_blocked_person_cannot_use_a_link() -> None:
    user = factories.make_user()
    token = users.issue_sign_in_token(user)
    user.is_active = False
    user.save()

    with pytest.raises(NotAllowed):
        users.redeem_sign_in_token(token)


def test_an_account_without_password_cannot_be_entered_by_one() -> None:
    assert factories.make_user().check_password("") is False


@pytest.mark.parametrize(
    ("username", "role", "password", "error"),
    [
        ("ann", "annotator", None, Conflict),
        ("bob", "king", None, InvalidInput),
        ("bob", "lead", "short", InvalidInput),
        ("bob\x00", "lead", None, InvalidInput),
        ("", "lead", None, InvalidInput),
    ],
)
def test_a_bad_account_is_refused(
    username: str, role: str, password: str | None, error: type[Exception]
) -> None:
    factories.make_user("ann")

    with pytest.raises(error):
        users.create_user(username, role=role, password=password)
