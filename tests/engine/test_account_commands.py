"""`manage.py account` and `manage.py api_token`."""

from __future__ import annotations

import io

import pytest
from django.core.management import CommandError, call_command

from engine.models import User
from engine.services.people import api_tokens, users
from tests import factories

pytestmark = pytest.mark.django_db


def run(*arguments: str) -> str:
    out = io.StringIO()
    call_command(*arguments, stdout=out)
    return out.getvalue()


def test_an_account_is_made_with_a_link_that_signs_in() -> None:
    said = run("account", "ada", "--role", "admin", "--base-url", "https://x.example/")

    assert "https://x.example/sign-in/" in said
    token = said.rstrip().removesuffix("/").rpartition("/")[2]
    assert users.redeem_sign_in_token(token) == User.objects.get(username="ada", role="admin")


def test_a_blocked_account_has_no_way_in_until_it_is_unblocked() -> None:
    ann = factories.make_outsider("ann")
    _, secret = api_tokens.create_token(ann, name="x", scope="read")

    assert run("account", "ann", "--block") == "ann is blocked\n"
    assert api_tokens.find_token(secret) is None

    run("account", "ann", "--unblock")
    assert api_tokens.find_token(secret) is not None


def test_the_last_admin_is_not_blocked_by_a_slip() -> None:
    run("account", "ada", "--role", "admin")

    with pytest.raises(CommandError, match="last admin"):
        run("account", "ada", "--block")
    assert User.objects.get(username="ada").is_active


def test_a_token_is_printed_and_works() -> None:
    lead = factories.make_lead("lena")

    token = api_tokens.find_token(
        run("api_token", "lena", "--scope", "lead", "--days", "3").strip()
    )

    assert token is not None
    assert (token.user, token.scope) == (lead, "lead")


def test_a_token_beyond_the_role_or_for_nobody_is_one_line() -> None:
    factories.make_outsider("ann")

    with pytest.raises(CommandError, match="needs a lead"):
        run("api_token", "ann", "--scope", "lead")
    with pytest.raises(CommandError, match="no active user 'nobody'"):
        run("api_token", "nobody")
