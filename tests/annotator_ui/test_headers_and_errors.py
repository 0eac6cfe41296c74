from __future__ import annotations

from pathlib import Path

import pytest
from django.db import InterfaceError, OperationalError
from django.test import Client
from pytest_django import Settings

from annotator_ui.middleware import CONTENT_SECURITY_POLICY
from engine.models import Assignment, Project
from tests.annotator_ui.conftest import content_of, mask_body, post

ISOLATION = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
}


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/healthz", 200),
        ("/sign-in/", 200),
        ("/", 302),
        ("/nothing/here/", 404),
        ("/static/annotator_ui/site.css", 200),
        ("/static/annotator_ui/project.js", 200),
        ("/static/missing.js", 404),
        ("/api/projects/none", 401),
        ("/api/nothing", 404),
    ],
)
def test_every_response_isolates_the_page(path: str, status: int) -> None:
    response = Client().get(path)
    content_of(response)

    assert response.status_code == status
    assert {name: response.headers.get(name) for name in ISOLATION} == ISOLATION


@pytest.mark.django_db
def test_a_crash_in_a_page_is_a_plain_page_without_a_trace(
    as_lead: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash() -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr("annotator_ui.views.project_page.project_cards", crash)
    as_lead.raise_request_exception = False

    response = as_lead.get("/")

    assert response.status_code == 500
    assert b"Something went wrong" in response.content
    assert b"secret detail" not in response.content
    assert b"Traceback" not in response.content
    assert response.headers["Cross-Origin-Embedder-Policy"] == "require-corp"


@pytest.mark.django_db
def test_a_crash_in_the_api_is_json_without_a_trace_even_in_debug(
    as_lead: Client, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.DEBUG = True

    def crash(slug: str) -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr("annotator_ui.api.projects.project_by_slug", crash)

    response = as_lead.get("/api/projects/some")

    assert response.status_code == 500
    assert response.json()["code"] == "server_error"
    assert b"secret" not in response.content


@pytest.mark.django_db
def test_a_wrong_method_is_405_in_the_shape_of_the_api(as_lead: Client) -> None:
    response = as_lead.delete("/api/projects/some")

    assert response.status_code == 405
    assert response.json()["code"] == "method_not_allowed"
    assert response.headers["Allow"] == "GET"


@pytest.mark.django_db
@pytest.mark.parametrize("body", ["{", "[[[", '{"name": }', "[" * 100_000, b"\xff\xfe"])
def test_malformed_json_is_a_400_that_says_so(as_lead: Client, project: object, body: str) -> None:
    response = as_lead.post(
        "/api/projects/roof-tiles/advance", body, content_type="application/json"
    )

    assert response.status_code == 400
    assert response.json() == {"code": "bad_request", "message": "the body is not valid JSON"}


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/api/x", "/x"])
def test_a_foreign_host_name_is_refused(path: str) -> None:
    assert Client().get(path, headers={"host": "evil.example"}).status_code == 400


@pytest.mark.django_db
def test_unknown_fields_are_named_and_refused(as_lead: Client, project: object) -> None:
    response = post(as_lead, "/api/projects/roof-tiles/advance", {"reason": "x", "role": "admin"})

    assert response.status_code == 422
    assert response.json()["code"] == "invalid_input"
    assert response.json()["fields"][0]["field"] == "role"
    assert "role" in response.json()["message"]


@pytest.mark.django_db
def test_the_labelling_page_says_when_the_front_end_is_not_built(
    as_lead: Client, project: object, settings: Settings, tmp_path: Path
) -> None:
    settings.UI_DIST_DIR = tmp_path / "dist"

    response = as_lead.get("/projects/roof-tiles/label/")

    assert response.status_code == 503
    assert "make ui" in response.content.decode()


@pytest.mark.parametrize("error", [OperationalError("server closed"), InterfaceError("closed")])
def test_while_the_database_restarts_a_save_is_told_to_come_again(
    monkeypatch: pytest.MonkeyPatch,
    as_annotator: Client,
    assignment: Assignment,
    error: Exception,
) -> None:
    def away(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("engine.services.masks.save_mask", away)

    response = post(as_annotator, f"/api/assignments/{assignment.pk}/masks", mask_body())

    assert (response.status_code, response.json()["code"]) == (503, "database_away")
    assert response.headers["Retry-After"] == "1"


def test_while_the_database_restarts_a_page_says_so(
    monkeypatch: pytest.MonkeyPatch, as_lead: Client, project: Project
) -> None:
    def away(*_: object, **__: object) -> None:
        raise OperationalError("the database system is shutting down")

    monkeypatch.setattr("annotator_ui.views.project_page.build", away)
    as_lead.raise_request_exception = False

    response = as_lead.get(f"/projects/{project.slug}/")

    assert response.status_code == 503
    assert response.headers["Retry-After"] == "1"
    assert b"The database is not there at the moment" in response.content
    assert b"shutting down" not in response.content
