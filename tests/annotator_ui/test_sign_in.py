from __future__ import annotations

import pytest
from django.test import Client

from engine.models import User
from engine.services.people import users
from tests.annotator_ui.conftest import PASSWORD


@pytest.mark.django_db
def test_pages_send_strangers_to_the_sign_in_page_and_back() -> None:
    response = Client().get("/projects/roof-tiles/?page=2")

    assert response.status_code == 302
    assert response.headers["Location"] == "/sign-in/?next=/projects/roof-tiles/%3Fpage%3D2"


def test_a_password_signs_in_and_the_button_signs_out(lead: User) -> None:
    client = Client()

    signed_in = client.post("/sign-in/", {"username": "lena", "password": PASSWORD})
    page = client.get("/")
    signed_out = client.post("/sign-out/")

    assert (signed_in.status_code, signed_in.headers["Location"]) == (302, "/")
    assert b"lena" in page.content
    assert signed_out.headers["Location"] == "/sign-in/"
    assert client.get("/").status_code == 302


def test_a_wrong_password_says_so_without_saying_which_part_is_wrong(lead: User) -> None:
    for name in ("lena", "nobody"):
        response = Client().post("/sign-in/", {"username": name, "password": "wrong"})

        assert response.status_code == 200
        assert b'data-testid="sign-in-error"' in response.content


def test_signing_in_never_leads_to_another_site(lead: User) -> None:
    response = Client().post(
        "/sign-in/?next=https://evil.example/",
        {"username": "lena", "password": PASSWORD, "next": "https://evil.example/"},
    )

    assert response.headers["Location"] == "/"


def test_looking_at_a_sign_in_link_does_not_use_it_up(annotator: User) -> None:
    path = f"/sign-in/{users.issue_sign_in_token(annotator)}/"
    for _ in range(3):  # link scanners and previews only GET
        assert b'data-testid="redeem-link"' in Client().get(path).content

    client = Client()
    response = client.post(path)

    assert response.headers["Location"] == "/"
    assert b"anna" in client.get("/").content


def test_a_sign_in_link_works_once(annotator: User) -> None:
    path = f"/sign-in/{users.issue_sign_in_token(annotator)}/"
    Client().post(path)
    second = Client()

    response = second.post(path)

    assert response.status_code == 403
    assert b"used or has expired" in response.content
    assert second.get("/").status_code == 302


@pytest.mark.django_db
def test_an_invented_sign_in_link_is_refused() -> None:
    response = Client().post("/sign-in/not-a-token/")

    assert response.status_code == 403
    assert b"Traceback" not in response.content


def test_signing_in_needs_the_csrf_token(lead: User) -> None:
    client = Client(enforce_csrf_checks=True)

    response = client.post("/sign-in/", {"username": "lena", "password": PASSWORD})

    assert response.status_code == 403
    assert "did not come from this site" in response.content.decode()
