from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.db import InterfaceError, OperationalError
from django.test import Client
from pytest_django import Settings

from annotator_ui.http.middleware import CONTENT_SECURITY_POLICY, USER_BYTES_POLICY
from engine.models import Assignment, Image, Project, User
from tests.annotator_ui.conftest import content_of, mask_body, post

ROOT = Path(__file__).parents[2]
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
        ("/static/annotator_ui/icon.svg", 200),
        ("/static/missing.js", 404),
        ("/api/v1/projects/none", 401),
        ("/api/v1/nothing", 404),
        ("/api/v1/docs", 200),
        ("/api/v1/openapi.json", 200),
        ("/static/ninja/swagger-ui-bundle.js", 200),
        ("/join/nothing/", 404),
        ("/account/", 302),
        ("/projects/%00/", 404),
        ("/api/v1/projects/a%00b", 404),
        ("/healthz?\x00=1", 200),
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

    monkeypatch.setattr("annotator_ui.features.projects.project_page.project_cards", crash)
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

    monkeypatch.setattr("annotator_ui.features.projects.api.project_by_slug", crash)

    response = as_lead.get("/api/v1/projects/some")

    assert response.status_code == 500
    assert response.json()["code"] == "server_error"
    assert b"secret" not in response.content


@pytest.mark.django_db
def test_a_wrong_method_is_405_in_the_shape_of_the_api(as_lead: Client) -> None:
    response = as_lead.delete("/api/v1/projects/some")

    assert response.status_code == 405
    assert response.json()["code"] == "method_not_allowed"
    assert response.headers["Allow"] == "GET"


@pytest.mark.django_db
@pytest.mark.parametrize("body", ["{", "[[[", '{"name": }', "[" * 100_000, b"\xff\xfe"])
def test_malformed_json_is_a_400_that_says_so(as_lead: Client, project: object, body: str) -> None:
    response = as_lead.post(
        "/api/v1/projects/roof-tiles/advance", body, content_type="application/json"
    )

    assert response.status_code == 400
    assert response.json() == {"code": "bad_request", "message": "the body is not valid JSON"}


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/api/v1/x", "/x"])
def test_a_foreign_host_name_is_refused(path: str) -> None:
    assert Client().get(path, headers={"host": "evil.example"}).status_code == 400


@pytest.mark.django_db
def test_unknown_fields_are_named_and_refused(as_lead: Client, project: object) -> None:
    response = post(
        as_lead, "/api/v1/projects/roof-tiles/advance", {"reason": "x", "role": "admin"}
    )

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


@pytest.mark.django_db
def test_refused_writes_isolate_the_page_too(settings: Settings) -> None:
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 100
    client = Client(enforce_csrf_checks=True)
    answers = {
        403: client.post("/sign-in/", {"username": "x"}),
        405: Client().delete("/account/"),
        413: Client().post("/api/v1/projects", "x" * 200, content_type="application/json"),
        401: Client().post("/api/v1/projects", "{}", content_type="application/json"),
        400: Client().get("/", headers={"host": "evil.example"}),
    }
    for status, response in answers.items():
        wanted = 401 if status == 413 else status  # who is not signed in has no body read
        assert response.status_code == wanted
        assert {name: response.headers.get(name) for name in ISOLATION} == ISOLATION


@pytest.mark.django_db
def test_a_body_that_is_too_large_is_a_413_in_the_shape_of_the_api(
    as_lead: Client, settings: Settings
) -> None:
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 100

    response = as_lead.post("/api/v1/projects", "x" * 200, content_type="application/json")

    assert response.status_code == 413
    assert response.json()["code"] == "too_large"


def test_bytes_that_people_brought_run_nothing(as_annotator: Client, image: Image) -> None:
    response = as_annotator.get(f"/api/v1/images/{image.pk}/file")
    content_of(response)

    assert response.headers["Content-Security-Policy"] == USER_BYTES_POLICY
    assert "sandbox" in USER_BYTES_POLICY
    for name in ISOLATION.keys() - {"Content-Security-Policy"}:
        assert response.headers[name] == ISOLATION[name]


def test_a_text_body_does_not_slip_past_the_csrf_check(lead: User, project: object) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(lead)

    response = client.post(
        "/api/v1/projects/roof-tiles/exports", '{"format": "coco"}', content_type="text/plain"
    )

    assert (response.status_code, response.json()["code"]) == (403, "csrf_failed")


def settings_of(tmp_path: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Read the settings in a fresh process, as an installation of its own."""
    program = (
        "from engine import settings as s; import json;"
        "print(json.dumps([s.SECRET_KEY, s.DEBUG, s.ALLOWED_HOSTS,"
        " getattr(s, 'SESSION_COOKIE_SECURE', False)]))"
    )
    inherited = {key: os.environ[key] for key in ("PATH",)}
    return subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env={**inherited, "SEGLOOP_DATA_DIR": str(tmp_path), **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_each_installation_makes_a_secret_of_its_own_and_keeps_it(tmp_path: Path) -> None:
    first, again = (json.loads(settings_of(tmp_path / "a").stdout) for _ in range(2))
    other = json.loads(settings_of(tmp_path / "b").stdout)

    assert first[0] == again[0] != other[0]
    assert len(first[0]) >= 50
    assert (tmp_path / "a" / "secret_key").stat().st_mode & 0o777 == 0o600
    assert first[1] is False
    assert first[2] == ["localhost", "127.0.0.1", "[::1]"]


def test_a_short_secret_and_cookies_over_https(tmp_path: Path) -> None:
    refused = settings_of(tmp_path, SEGLOOP_SECRET_KEY="short")
    secure = json.loads(settings_of(tmp_path, SEGLOOP_HTTPS="true").stdout)

    assert refused.returncode != 0
    assert "at least 32 characters" in refused.stderr
    assert secure[3] is True


@pytest.mark.parametrize("error", [OperationalError("server closed"), InterfaceError("closed")])
def test_while_the_database_restarts_a_save_is_told_to_come_again(
    monkeypatch: pytest.MonkeyPatch,
    as_annotator: Client,
    assignment: Assignment,
    error: Exception,
) -> None:
    def away(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("engine.services.masks.masks.save_mask", away)

    response = post(as_annotator, f"/api/v1/assignments/{assignment.pk}/masks", mask_body())

    assert (response.status_code, response.json()["code"]) == (503, "database_away")
    assert response.headers["Retry-After"] == "1"


def test_while_the_database_restarts_a_page_says_so(
    monkeypatch: pytest.MonkeyPatch, as_lead: Client, project: Project
) -> None:
    def away(*_: object, **__: object) -> None:
        raise OperationalError("the database system is shutting down")

    monkeypatch.setattr("annotator_ui.features.projects.project_page.build", away)
    as_lead.raise_request_exception = False

    response = as_lead.get(f"/projects/{project.slug}/")

    assert response.status_code == 503
    assert response.headers["Retry-After"] == "1"
    assert b"The database is not there at the moment" in response.content
    assert b"shutting down" not in response.content
