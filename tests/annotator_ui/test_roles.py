"""Who may do what: every write route, for a stranger, an annotator, and without a CSRF token."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.test import Client
from django.urls import URLPattern, get_resolver

from annotator_ui.api import api
from engine.domain.jobs import QUEUES
from engine.models import Export, Image, Job, ModelVersion, Project, StateChange, User
from engine.services import embeddings, jobs
from tests.annotator_ui.conftest import client_of, post

LEAD_ROUTES: dict[str, dict[str, Any]] = {
    "/api/projects/{slug}/images": {},
    "/api/projects/{slug}/retrain": {"family": "sam"},
    "/api/projects/{slug}/advance": {"reason": "because"},
    "/api/projects/{slug}/back": {"reason": "because"},
    "/api/projects/{slug}/promote": {"model_version_id": "{version_id}", "reason": "because"},
    "/api/projects/{slug}/exports": {"format": "coco"},
    "/api/projects/{slug}/imports": {},
    "/api/jobs/{job_id}/cancel": {},
    "/api/jobs/{job_id}/retry": {},
}
LEAD_READS = [
    "/api/projects/{slug}/jobs",
    "/api/jobs/{job_id}",
    "/api/projects/{slug}/imports",
    "/api/imports/{import_id}",
    "/api/imports/{import_id}/refused",
]
LEAD_FORMS: dict[str, dict[str, str]] = {
    "/projects/{slug}/upload/": {},
    "/projects/{slug}/retrain/": {"family": "sam"},
    "/projects/{slug}/advance/": {"reason": "because"},
    "/projects/{slug}/back/": {"reason": "because"},
    "/projects/{slug}/promote/": {"model_version_id": "{version_id}", "reason": "because"},
    "/projects/{slug}/export/": {"format": "coco"},
    "/jobs/{job_id}/cancel/": {},
    "/jobs/{job_id}/retry/": {},
}
ANNOTATOR_WRITES = {
    "/api/projects/{slug}/assignments/next",
    "/api/assignments/{assignment_id}/extend",
    "/api/assignments/{assignment_id}/submit",
    "/api/assignments/{assignment_id}/skip",
    "/api/assignments/{assignment_id}/masks",
    "/api/masks/{mask_id}/accept",
    "/api/masks/{mask_id}/reject",
    "/api/images/{image_id}/decode",
}
NO_ID = "00000000-0000-7000-8000-000000000000"


@pytest.fixture
def names(project: Project) -> dict[str, str]:
    """What the places in a route stand for."""
    image = Image.objects.create(
        project=project, sha256="0" * 64, file_name="a.jpg", width_px=8, height_px=8
    )
    job = embeddings.request_embedding(image)
    assert job is not None
    version = project.model_versions.get(family="sam")
    missing = dict.fromkeys(("assignment_id", "mask_id", "export_id", "import_id"), NO_ID)
    return {
        **missing,
        "slug": project.slug,
        "job_id": str(job.pk),
        "version_id": str(version.pk),
        "image_id": str(image.pk),
    }


def filled(value: str, names: dict[str, str]) -> str:
    return value.format(**names)


def filled_body(body: dict[str, str], names: dict[str, str]) -> dict[str, str]:
    return {key: filled(value, names) for key, value in body.items()}


def everything_written() -> dict[str, int]:
    tables = (Image, Job, ModelVersion, Export, StateChange, Project)
    return {table.__name__: table.objects.count() for table in tables}


@pytest.mark.parametrize("route", LEAD_ROUTES)
def test_an_annotator_gets_403_and_nothing_is_written(
    route: str, as_annotator: Client, names: dict[str, str]
) -> None:
    before = everything_written()

    response = post(as_annotator, filled(route, names), filled_body(LEAD_ROUTES[route], names))

    assert response.status_code == 403
    assert response.json() == {"code": "not_allowed", "message": "this needs a lead"}
    assert everything_written() == before


@pytest.mark.parametrize("route", LEAD_READS)
def test_an_annotator_may_not_read_jobs(
    route: str, as_annotator: Client, names: dict[str, str]
) -> None:
    assert as_annotator.get(filled(route, names)).status_code == 403


@pytest.mark.parametrize("route", LEAD_FORMS)
def test_an_annotator_cannot_use_the_buttons_of_a_lead(
    route: str, as_annotator: Client, names: dict[str, str]
) -> None:
    before = everything_written()

    response = as_annotator.post(filled(route, names), filled_body(LEAD_FORMS[route], names))

    assert response.status_code == 403
    assert b"needs a lead" in response.content
    assert everything_written() == before


@pytest.mark.parametrize("route", LEAD_FORMS)
def test_buttons_answer_posts_only(route: str, as_lead: Client, names: dict[str, str]) -> None:
    assert as_lead.get(filled(route, names)).status_code == 405


@pytest.mark.parametrize("route", sorted({*LEAD_ROUTES, *ANNOTATOR_WRITES}))
def test_a_stranger_gets_401(route: str, names: dict[str, str]) -> None:
    before = everything_written()

    response = post(Client(), filled(route, names))

    assert response.status_code == 401
    assert response.json()["code"] == "not_signed_in"
    assert everything_written() == before


@pytest.mark.parametrize("route", sorted({*LEAD_ROUTES, *ANNOTATOR_WRITES}))
def test_a_write_without_the_csrf_token_is_refused(
    route: str, lead: User, names: dict[str, str]
) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(lead)
    before = everything_written()

    response = post(client, filled(route, names), filled_body(LEAD_ROUTES.get(route, {}), names))

    assert response.status_code == 403
    assert response.json()["code"] == "csrf_failed"
    assert everything_written() == before


def test_a_write_with_the_csrf_token_is_taken(lead: User, project: Project) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(lead)
    client.get(f"/projects/{project.slug}/")  # sets the cookie, as the browser would
    token = client.cookies["csrftoken"].value

    response = client.post(
        f"/api/projects/{project.slug}/exports",
        json.dumps({"format": "coco"}),
        content_type="application/json",
        headers={"x-csrftoken": token},
    )

    assert response.status_code == 202


def test_every_api_route_is_in_the_tables_above() -> None:
    """A new write route must say here who may use it."""
    writes = set()
    for prefix, router in api._routers:
        for path, view in router.path_operations.items():
            if any(operation.methods != ["GET"] for operation in view.operations):
                writes.add(f"/api{prefix}{path}".replace("uuidstr:", "").replace("uuid:", ""))

    assert writes == {*LEAD_ROUTES, *ANNOTATOR_WRITES}


def test_every_page_but_the_open_ones_needs_a_session(names: dict[str, str]) -> None:
    opened = {"healthz", "sign-in", "sign-in-link", "sign-out"}
    for pattern in get_resolver().url_patterns:
        if not isinstance(pattern, URLPattern) or pattern.name in opened:
            continue
        path = "/" + str(pattern.pattern).replace("<slug:slug>", names["slug"])
        for name in ("job_id", "import_id"):
            path = path.replace(f"<uuid:{name}>", names[name])
        answers = [Client().get(path), Client().post(path)]
        wanted = {answer.headers.get("Location", "").partition("?")[0] for answer in answers}
        assert {answer.status_code for answer in answers} <= {302, 405}, path
        assert wanted <= {"/sign-in/", ""}, path
        assert "/sign-in/" in wanted, path


def test_a_blocked_account_is_signed_out_at_once(as_annotator: Client, annotator: User) -> None:
    annotator.is_active = False
    annotator.save()

    assert as_annotator.get("/api/projects/none").status_code == 401


def test_an_admin_may_do_what_a_lead_may(project: Project) -> None:
    from engine.services import users

    admin = client_of(users.create_user("ada", role="admin"))

    response = post(admin, f"/api/projects/{project.slug}/exports", {"format": "sa1b"})

    assert response.status_code == 202


def test_a_lead_cancels_and_retries_a_job(as_lead: Client, project: Project, image: Image) -> None:
    job = project.jobs.get(kind="embed_image")
    cancelled = post(as_lead, f"/api/jobs/{job.pk}/cancel")
    again = post(as_lead, f"/api/jobs/{job.pk}/cancel")

    assert (cancelled.status_code, cancelled.json()["status"]) == (200, "cancelled")
    assert again.status_code == 409

    other = jobs.enqueue(
        "embed_image", project=project, args=dict(job.args), idem_key=f"{job.idem_key}:2"
    )
    claimed = jobs.claim(QUEUES, worker="w")
    assert claimed is not None
    assert claimed.id == other.pk
    jobs.fail(claimed, error="the photo is too dark", retryable=False)
    listed = as_lead.get(f"/api/projects/{project.slug}/jobs").json()
    assert any(one["error"] == "the photo is too dark" and one["can_retry"] for one in listed)

    retried = post(as_lead, f"/api/jobs/{other.pk}/retry")

    assert (retried.status_code, retried.json()["status"]) == (200, "queued")
