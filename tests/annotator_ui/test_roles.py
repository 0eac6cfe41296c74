"""Sessions and roles beyond the table of authorisation.toml."""

from __future__ import annotations

import json

from django.test import Client

from engine.domain.jobs import QUEUES
from engine.models import Assignment, Image, Project, User
from engine.services.jobs import jobs
from tests.annotator_ui.conftest import client_of, post, save_mask


def test_a_write_with_the_csrf_token_is_taken(
    lead: User, project: Project, assignment: Assignment
) -> None:
    save_mask(assignment)
    client = Client(enforce_csrf_checks=True)
    client.force_login(lead)
    client.get(f"/projects/{project.slug}/")  # sets the cookie, as the browser would
    token = client.cookies["csrftoken"].value

    response = client.post(
        f"/api/v1/projects/{project.slug}/exports",
        json.dumps({"format": "coco"}),
        content_type="application/json",
        headers={"x-csrftoken": token},
    )

    assert response.status_code == 202


def test_a_blocked_account_is_signed_out_at_once(as_annotator: Client, annotator: User) -> None:
    annotator.is_active = False
    annotator.save()

    assert as_annotator.get("/api/v1/projects/none").status_code == 401


def test_an_admin_may_do_what_a_lead_may(project: Project, assignment: Assignment) -> None:
    from engine.services.people import users

    save_mask(assignment)
    admin = client_of(users.create_user("ada", role="admin"))

    response = post(admin, f"/api/v1/projects/{project.slug}/exports", {"format": "sa1b"})

    assert response.status_code == 202


def test_a_lead_cancels_and_retries_a_job(as_lead: Client, project: Project, image: Image) -> None:
    job = project.jobs.get(kind="embed_image")
    cancelled = post(as_lead, f"/api/v1/jobs/{job.pk}/cancel")
    again = post(as_lead, f"/api/v1/jobs/{job.pk}/cancel")

    assert (cancelled.status_code, cancelled.json()["status"]) == (200, "cancelled")
    assert again.status_code == 409

    other = jobs.enqueue(
        "embed_image", project=project, args=dict(job.args), idem_key=f"{job.idem_key}:2"
    )
    claimed = jobs.claim(QUEUES, worker="w")
    assert claimed is not None
    assert claimed.id == other.pk
    jobs.fail(claimed, error="the photo is too dark", retryable=False)
    listed = as_lead.get(f"/api/v1/projects/{project.slug}/jobs").json()
    assert any(one["error"] == "the photo is too dark" and one["can_retry"] for one in listed)

    retried = post(as_lead, f"/api/v1/jobs/{other.pk}/retry")

    assert (retried.status_code, retried.json()["status"]) == (200, "queued")
