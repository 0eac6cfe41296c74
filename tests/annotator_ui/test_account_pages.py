"""One's own password and tokens, and what slows the guessing of passwords down."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from engine.models import ApiToken, Project, SignInFailure, User
from tests.annotator_ui.conftest import PASSWORD

NEW = "an even longer phrase"


def change(client: Client, **form: str) -> int:
    form = {"old": PASSWORD, "new": NEW, "new_again": NEW, **form}
    return client.post("/account/password/", form).status_code


def test_a_password_is_changed_and_other_browsers_are_signed_out(lead: User) -> None:
    here, there = Client(), Client()
    for client in (here, there):
        client.post("/sign-in/", {"username": "lena", "password": PASSWORD})

    assert change(here) == 302

    assert here.get("/").status_code == 200
    assert there.get("/").status_code == 302
    signed_in = Client().post("/sign-in/", {"username": "lena", "password": NEW})
    assert signed_in.status_code == 302


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ({"old": "wrong"}, "present password is not right"),
        ({"new_again": "something else"}, "not the same"),
        ({"new": "short", "new_again": "short"}, "too short"),
    ],
)
def test_a_refused_password_says_why(as_lead: Client, form: dict[str, str], said: str) -> None:
    full = {"old": PASSWORD, "new": NEW, "new_again": NEW, **form}
    response = as_lead.post("/account/password/", full)

    assert response.status_code == 422
    assert said in response.content.decode()


def test_the_present_password_cannot_be_guessed_either(as_lead: Client) -> None:
    for _ in range(5):
        change(as_lead, old="wrong")

    response = as_lead.post("/account/password/", {"old": PASSWORD, "new": NEW, "new_again": NEW})

    assert "Try again in" in response.content.decode()


def make_token(client: Client, **form: str) -> str:
    form = {"name": "nightly", "scope": "read", "life_days": "30", **form}
    response = client.post("/account/tokens/", form)
    found = re.search(r'data-testid="token-secret">(sgl_[^<]+)<', response.content.decode())
    assert found is not None, response.content
    return found.group(1)


def asks(token: str, path: str) -> int:
    return Client(headers={"authorization": f"Bearer {token}"}).get(path).status_code


def test_a_token_is_shown_once_works_and_is_revoked(as_lead: Client, project: Project) -> None:
    token = make_token(as_lead)

    assert asks(token, "/api/v1/projects/roof-tiles") == 200
    page = as_lead.get("/account/").content.decode()
    assert token not in page
    assert token[:8] in page
    row = ApiToken.objects.get()
    assert row.last_used_at is not None
    assert token not in str(row.__dict__)

    as_lead.post(f"/account/tokens/{row.pk}/revoke/")

    assert asks(token, "/api/v1/projects/roof-tiles") == 401


def test_a_token_opens_no_page(as_lead: Client, project: Project) -> None:
    assert asks(make_token(as_lead, scope="lead"), "/projects/roof-tiles/") == 302


def test_an_expired_token_and_one_of_a_blocked_person_open_nothing(
    as_lead: Client, lead: User, project: Project
) -> None:
    expired, live = make_token(as_lead), make_token(as_lead)
    row = ApiToken.objects.order_by("created_at")[0]
    ApiToken.objects.filter(pk=row.pk).update(
        created_at=timezone.now() - timedelta(days=2), expires_at=timezone.now() - timedelta(days=1)
    )
    assert asks(expired, "/api/v1/me") == 401
    assert asks(live, "/api/v1/me") == 200

    lead.is_active = False
    lead.save()

    assert asks(live, "/api/v1/me") == 401


def test_an_annotator_gets_no_lead_token(as_annotator: Client, project: Project) -> None:
    form = {"name": "x", "scope": "lead", "life_days": "30"}

    response = as_annotator.post("/account/tokens/", form)

    assert response.status_code == 422
    assert "needs a lead" in response.content.decode()
    assert not ApiToken.objects.exists()


def test_a_token_falls_with_the_role_of_its_owner(
    as_lead: Client, lead: User, project: Project
) -> None:
    token = make_token(as_lead, scope="lead")
    assert asks(token, "/api/v1/projects/roof-tiles/jobs") == 200
    project.memberships.filter(user=lead).update(role="annotator")

    assert asks(token, "/api/v1/projects/roof-tiles/jobs") == 403
    project.memberships.filter(user=lead).delete()
    assert asks(token, "/api/v1/projects/roof-tiles") == 404


def try_to_sign_in(
    password: str = "wrong", *, name: str = "lena", address: str = "10.0.0.1"
) -> int:
    form = {"username": name, "password": password}
    return Client(REMOTE_ADDR=address).post("/sign-in/", form).status_code


def test_after_five_wrong_passwords_one_waits_and_is_told_how_long(lead: User) -> None:
    assert [try_to_sign_in() for _ in range(5)] == [200] * 5

    response = Client(REMOTE_ADDR="10.0.0.1").post(
        "/sign-in/", {"username": "LENA", "password": PASSWORD}
    )

    assert response.status_code == 429
    assert re.search(r"Try again in (29|30) seconds", response.content.decode())
    assert response.headers["Retry-After"] in {"29", "30"}
    assert try_to_sign_in(PASSWORD, address="10.0.0.2") == 302  # from elsewhere it is open


def test_the_wait_ends_and_doubles_with_the_next_failure(lead: User) -> None:
    for _ in range(5):
        try_to_sign_in()
    earlier = timezone.now() - timedelta(seconds=31)
    SignInFailure.objects.update(created_at=earlier)

    assert try_to_sign_in() == 200  # looked at, and wrong
    SignInFailure.objects.filter(created_at__gt=earlier).update(
        created_at=timezone.now() - timedelta(seconds=31)
    )
    assert try_to_sign_in(PASSWORD) == 429  # 60 s now
    SignInFailure.objects.update(created_at=timezone.now() - timedelta(seconds=61))
    assert try_to_sign_in(PASSWORD) == 302
    assert [try_to_sign_in() for _ in range(5)] == [200] * 5  # success wiped the slate


def test_one_address_cannot_try_many_names(lead: User) -> None:
    for number in range(30):
        assert try_to_sign_in(name=f"name-{number}") == 200

    assert try_to_sign_in(PASSWORD) == 429
    assert try_to_sign_in(PASSWORD, address="10.0.0.2") == 302


def test_behind_a_proxy_the_address_is_what_the_proxy_saw(lead: User, settings: Settings) -> None:
    settings.BEHIND_PROXY = True

    def sign_in(forged: str, password: str) -> int:
        client = Client(headers={"x-forwarded-for": f"{forged}, 203.0.113.9"})
        form = {"username": "lena", "password": password}
        return client.post("/sign-in/", form).status_code

    for number in range(5):
        sign_in(f"10.1.1.{number}", "wrong")

    assert sign_in("10.9.9.9", PASSWORD) == 429


def test_names_that_were_typed_are_not_stored(db: None) -> None:
    try_to_sign_in(name="hunter2hunter2")

    assert SignInFailure.objects.count() == 3
    assert "hunter2" not in str(list(SignInFailure.objects.values()))
