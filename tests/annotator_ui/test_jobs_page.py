"""The history of jobs: filters, pages, attempts, and the buttons that lead back to it."""

from __future__ import annotations

import re

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from engine.domain.jobs import QUEUES
from engine.models import Job, Project
from engine.services.images import embeddings
from engine.services.jobs import jobs
from tests import factories
from tests.annotator_ui.conftest import post

PAGE = "/projects/roof-tiles/jobs/"


@pytest.fixture(autouse=True)
def many_jobs(project: Project) -> None:
    project.jobs.all().delete()
    for place in range(60):
        jobs.enqueue(
            "embed_image",
            project=project,
            args={"image": project.pk, "model_version": project.pk},
            idem_key=f"job-{place}",
        )


def html_of(client: Client, query: str = "") -> str:
    response = client.get(PAGE + query)
    assert response.status_code == 200
    return response.content.decode()


def num_rows(html: str) -> int:
    return html.count('data-testid="job-row"')


def break_one() -> Job:
    """A job that was lost once and then failed for good."""
    first = jobs.claim(QUEUES, worker="cpu@here:1")
    assert first is not None
    Job.objects.filter(pk=first.id).update(lease_until="2020-01-01T00:00Z")
    jobs.reap()
    second = jobs.claim(QUEUES, worker="cpu@here:2")
    assert second is not None
    assert second.id == first.id
    jobs.fail(second, error="the photo is <b>gone</b>", retryable=False)
    return Job.objects.get(pk=first.id)


def test_the_history_has_pages(as_lead: Client) -> None:
    first, second = html_of(as_lead), html_of(as_lead, "?page=2")

    assert (num_rows(first), num_rows(second)) == (50, 10)
    assert "60 jobs" in first
    assert "Page 2 of 2" in second
    assert "Page 2 of 2" in html_of(as_lead, "?page=99")


def test_a_job_says_which_crop_it_is_about(as_lead: Client, project: Project) -> None:
    image = factories.make_image(project, width_px=400, height_px=300)
    embeddings.request_embedding(image, crop="2-1-2")

    assert "photo.png, crop 2-1-2" in html_of(as_lead)


def test_a_dead_end_is_found_by_its_state_with_its_reason_and_every_attempt(
    as_lead: Client,
) -> None:
    job = break_one()

    html = html_of(as_lead, "?state=failed&kind=embed_image")

    assert num_rows(html) == 1
    assert str(job.pk) in html
    assert "the photo is &lt;b&gt;gone&lt;/b&gt;" in html
    outcomes = re.findall(r"<strong>(\w+)</strong> after .*? on (\S+),", html)
    assert outcomes == [("lost", "cpu@here:1"), ("failed", "cpu@here:2")]
    assert "failed (1)" in html
    assert num_rows(html_of(as_lead, "?state=dead")) == 0


@pytest.mark.parametrize("query", ["?state=asleep", "?kind=dance"])
def test_an_unknown_filter_is_not_found(as_lead: Client, query: str) -> None:
    assert as_lead.get(PAGE + query).status_code == 404


def test_retry_and_cancel_lead_back_to_the_history(as_lead: Client) -> None:
    job = break_one()

    retried = as_lead.post(f"/jobs/{job.pk}/retry/", {"back": "jobs"})
    assert (retried.status_code, retried.headers["Location"]) == (302, PAGE)
    job.refresh_from_db()
    assert job.status == "queued"

    as_lead.post(f"/jobs/{job.pk}/cancel/", {"back": "jobs"})
    job.refresh_from_db()
    assert job.status == "cancelled"


def test_the_page_costs_the_same_queries_however_many_jobs(as_lead: Client) -> None:
    def num_queries(query: str) -> int:
        with CaptureQueriesContext(connection) as queries:
            html_of(as_lead, query)
        return len(queries)

    assert num_queries("") <= num_queries("?page=2") <= 14


def test_the_api_filters_and_pages_too_and_lists_attempts(as_lead: Client) -> None:
    job = break_one()

    failed = as_lead.get("/api/v1/projects/roof-tiles/jobs?status=failed").json()
    page = as_lead.get("/api/v1/projects/roof-tiles/jobs?kind=embed_image&limit=7&offset=55").json()
    attempts = as_lead.get(f"/api/v1/jobs/{job.pk}/attempts").json()

    assert [one["id"] for one in failed] == [str(job.pk)]
    assert len(page) == 5
    assert [(one["outcome"], one["worker"]) for one in attempts] == [
        ("lost", "cpu@here:1"),
        ("failed", "cpu@here:2"),
    ]
    assert all(one["pid"] > 0 and one["ended_at"] for one in attempts)
    assert as_lead.get("/api/v1/projects/roof-tiles/jobs?status=asleep").status_code == 422


def test_without_a_filter_the_api_lists_what_is_not_over_first(as_lead: Client) -> None:
    job = break_one()
    running = jobs.claim(QUEUES, worker="w")
    assert running is not None

    listed = as_lead.get("/api/v1/projects/roof-tiles/jobs").json()

    assert listed[0]["id"] == str(running.id)
    assert listed[-1]["id"] == str(job.pk)
    assert post(as_lead, f"/api/v1/jobs/{job.pk}/retry").json()["status"] == "queued"
