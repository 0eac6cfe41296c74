"""The queue: one winner a claim, nothing written by who lost it, retries and endings."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.utils import timezone

from engine.domain.errors import Conflict, InvalidInput, NotAllowed
from engine.domain.jobs import QUEUES, JobKind
from engine.domain.states import JobStatus
from engine.models import Job, JobAttempt, Project
from engine.services.jobs import jobs
from tests import factories

pytestmark = pytest.mark.django_db


@pytest.fixture
def project() -> Project:
    return factories.make_project()


def enqueue(project: Project, *, idem_key: str = "", kind: str = "embed_image") -> Job:
    return jobs.enqueue(
        JobKind(kind),
        project=project,
        args={"image": uuid4(), "model_version": uuid4()},
        idem_key=idem_key or uuid4().hex,
    )


def claim(worker: str = "w1") -> jobs.ClaimedJob:
    claimed = jobs.claim(QUEUES, worker=worker, lease_s=30)
    assert claimed is not None
    return claimed


def end_lease(job: Job) -> None:
    Job.objects.filter(pk=job.pk).update(lease_until=timezone.now() - timedelta(seconds=1))


def status_of(job: Job) -> str:
    return Job.objects.get(pk=job.pk).status


def test_the_same_work_is_queued_once_while_it_lives(project: Project) -> None:
    first = enqueue(project, idem_key="embed:1")

    assert enqueue(project, idem_key="embed:1") == first
    assert jobs.finish(claim(), effects=lambda: None)
    assert enqueue(project, idem_key="embed:1") != first


def test_arguments_must_be_those_of_the_kind(project: Project) -> None:
    with pytest.raises(InvalidInput, match="takes"):
        jobs.enqueue(JobKind.EXPORT, project=project, args={"image": 1}, idem_key="x")


def test_the_most_urgent_job_is_claimed_first_then_the_oldest(project: Project) -> None:
    export = jobs.enqueue(
        JobKind.EXPORT, project=project, args={"export": uuid4()}, idem_key="export"
    )
    older, newer = enqueue(project), enqueue(project)

    assert [claim().id for _ in range(3)] == [older.pk, newer.pk, export.pk]
    assert jobs.claim(QUEUES, worker="w") is None


def test_a_worker_only_gets_jobs_of_its_queues(project: Project) -> None:
    enqueue(project)

    assert jobs.claim(["gpu"], worker="w") is None
    assert jobs.num_claimable("cpu") == 1


def test_finishing_applies_effects_and_keeps_their_answer(project: Project) -> None:
    job = enqueue(project)
    claimed = claim()

    assert jobs.finish(claimed, effects=lambda: {"num_masks": 3, "loss": float("nan")})

    job.refresh_from_db()
    assert (job.status, job.progress_pct) == ("succeeded", 100)
    assert job.result == {"num_masks": 3, "loss": None}
    assert JobAttempt.objects.get(job=job).outcome == "succeeded"


def test_a_worker_that_lost_its_lease_writes_nothing(project: Project) -> None:
    job = enqueue(project)
    slow = claim("slow")
    end_lease(job)
    assert jobs.reap() == 1
    quick = claim("quick")
    written: list[str] = []

    assert jobs.heartbeat(slow) is False
    assert jobs.finish(slow, effects=lambda: written.append("slow")) is False
    assert jobs.fail(slow, error="late", retryable=False) is False
    assert jobs.finish(quick, effects=lambda: written.append("quick")) is True

    assert written == ["quick"]
    outcomes = list(JobAttempt.objects.filter(job=job).values_list("worker", "outcome"))
    assert outcomes == [("slow", "lost"), ("quick", "succeeded")]


def test_effects_that_raise_leave_nothing_behind(project: Project) -> None:
    job = enqueue(project)
    claimed = claim()

    def effects() -> None:
        factories.make_user("half-written")
        raise ValueError("disk full")

    with pytest.raises(ValueError, match="disk full"):
        jobs.finish(claimed, effects=effects)

    assert status_of(job) == "running"
    assert not Project.objects.filter(created_by__username="half-written").exists()
    from engine.models import User

    assert not User.objects.filter(username="half-written").exists()


def test_a_heartbeat_extends_the_lease_and_shows_progress(project: Project) -> None:
    job = enqueue(project)
    claimed = claim()
    before = Job.objects.get(pk=job.pk).lease_until

    assert jobs.heartbeat(claimed, progress_pct=40, text="step 4 of 10")

    job.refresh_from_db()
    assert job.lease_until is not None
    assert before is not None
    assert job.lease_until > before
    assert (job.progress_pct, job.progress_text) == (40, "step 4 of 10")
    assert jobs.reap() == 0


def test_a_failed_attempt_is_tried_again_later_and_three_make_it_dead(project: Project) -> None:
    job = enqueue(project)
    for attempt in (1, 2):
        claimed = claim()
        assert claimed.attempt == attempt
        assert jobs.fail(claimed, error=f"attempt {attempt}", retryable=True)
        assert jobs.claim(QUEUES, worker="too early") is None
        Job.objects.filter(pk=job.pk).update(run_after=timezone.now())

    jobs.fail(claim(), error="attempt 3", retryable=True)

    job.refresh_from_db()
    assert (job.status, job.error) == ("dead", "attempt 3")


def test_a_job_that_kills_its_workers_dies_after_three(project: Project) -> None:
    job = enqueue(project)
    for _ in range(3):
        claim("killed")
        end_lease(job)
        assert jobs.reap() == 1

    job.refresh_from_db()
    assert job.status == "dead"
    assert job.error == "the worker killed was lost (attempt 3)"


def test_a_job_that_cannot_work_fails_at_once(project: Project) -> None:
    job = enqueue(project)

    jobs.fail(claim(), error="the image is gone", retryable=False)

    assert status_of(job) == JobStatus.FAILED


def test_a_stopping_worker_gives_its_job_back_without_costing_an_attempt(project: Project) -> None:
    job = enqueue(project)

    assert jobs.release(claim())

    job.refresh_from_db()
    assert (job.status, job.attempts) == ("queued", 0)
    assert claim().attempt == 1


def test_a_queued_job_is_cancelled_at_once_a_running_one_when_its_worker_lets_go(
    project: Project,
) -> None:
    lead = project.created_by
    waiting = enqueue(project)
    jobs.cancel(waiting, actor=lead)
    running = enqueue(project)
    claimed = claim()
    assert claimed.id == running.pk

    jobs.cancel(running, actor=lead)

    assert status_of(waiting) == "cancelled"
    assert status_of(running) == "running"
    assert jobs.heartbeat(claimed) is False
    assert status_of(running) == "running"  # until its worker has let go of it
    assert jobs.end_cancelled(claimed) is True
    assert status_of(running) == "cancelled"
    with pytest.raises(Conflict, match="already been cancelled"):
        jobs.cancel(running, actor=lead)


def test_a_cancelled_job_cannot_finish(project: Project) -> None:
    job = enqueue(project)
    claimed = claim()
    jobs.cancel(job, actor=project.created_by)
    written: list[str] = []

    assert jobs.finish(claimed, effects=lambda: written.append("x")) is False

    assert written == []
    assert status_of(job) == "cancelled"


def test_a_dead_job_can_be_tried_again_with_all_its_attempts(project: Project) -> None:
    job = enqueue(project)
    jobs.fail(claim(), error="no", retryable=False)

    jobs.retry(job, actor=project.created_by)

    claimed = claim()
    assert (claimed.id, claimed.attempt, claimed.fence) == (job.pk, 1, 2)


def test_annotators_may_not_cancel_or_retry(project: Project) -> None:
    job = enqueue(project)

    with pytest.raises(NotAllowed):
        jobs.cancel(job, actor=factories.make_user())
    with pytest.raises(NotAllowed):
        jobs.retry(job, actor=factories.make_user())


rung: list[tuple[Any, str]] = []


def ring(job_id: Any, queue: str) -> None:
    rung.append((job_id, queue))
    raise ConnectionError("nobody hears it")


def test_the_bell_rings_after_commit_and_may_be_broken(
    project: Project, settings: Any, django_capture_on_commit_callbacks: Any
) -> None:
    settings.ENGINE_JOB_DISPATCHER = "tests.engine.test_jobs.ring"
    rung.clear()

    with django_capture_on_commit_callbacks(execute=True):
        job = enqueue(project)
        assert rung == []

    assert rung == [(job.pk, "cpu")]
