"""What becomes of a job when its task succeeds, fails, hangs, is cancelled or must stop."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any
from uuid import uuid4

import pytest

from engine.domain.errors import InvalidInput, NotReady
from engine.domain.jobs import JOB_SPECS, QUEUES, JobKind
from engine.domain.states import JobStatus
from engine.models import Job, JobAttempt, Project, User
from engine.services.jobs import jobs
from engine.stop_flag import StopFlag
from tests.factories import make_lead, make_project
from workers.execution import heartbeat, run_job
from workers.execution.context import Effects, JobContext
from workers.execution.run_job import Run, RunOutcome, run_next

pytestmark = pytest.mark.django_db(transaction=True)

RunAs = Callable[..., Run]


@pytest.fixture
def lead() -> User:
    return make_lead("lead")


@pytest.fixture
def project(lead: User) -> Project:
    return make_project(lead=lead)


@pytest.fixture
def run_as(monkeypatch: pytest.MonkeyPatch, project: Project) -> RunAs:
    """Queue a job whose task is the given function, and run it."""

    def run(
        task: Callable[[JobContext], Effects],
        *,
        lease_s: float = 30,
        stop: StopFlag | None = None,
    ) -> Run:
        monkeypatch.setattr(run_job, "task_of", lambda _kind: task)
        jobs.enqueue(
            JobKind.EMBED_IMAGE,
            project=project,
            args={"image": uuid4(), "model_version": uuid4()},
            idem_key="the job",
        )
        done = run_next(QUEUES, worker="test", lease_s=lease_s, stopping=stop or StopFlag())
        assert done is not None
        return done

    return run


def the_job() -> Job:
    return Job.objects.get(idem_key="the job")


def test_effects_and_success_are_written_together(run_as: RunAs, project: Project) -> None:
    def task(_context: JobContext) -> Effects:
        def effects() -> dict[str, Any]:
            Project.objects.filter(pk=project.pk).update(name="changed")
            return {"answer": 42}

        return effects

    run = run_as(task)

    assert run.outcome is RunOutcome.SUCCEEDED
    assert the_job().status == JobStatus.SUCCEEDED
    assert the_job().result == {"answer": 42}
    assert Project.objects.get().name == "changed"


def test_effects_that_fail_leave_nothing_behind(run_as: RunAs, project: Project) -> None:
    def task(_context: JobContext) -> Effects:
        def effects() -> None:
            Project.objects.filter(pk=project.pk).update(name="changed")
            raise RuntimeError("disk full")

        return effects

    run = run_as(task)

    assert run.outcome is RunOutcome.FAILED
    assert the_job().error == "RuntimeError: disk full"
    assert Project.objects.get().name != "changed"


def test_wrong_input_is_not_tried_again(run_as: RunAs) -> None:
    def task(_context: JobContext) -> Effects:
        raise InvalidInput("there is nothing to export")

    run_as(task)

    assert the_job().status == JobStatus.FAILED
    assert the_job().error == "there is nothing to export"


@pytest.mark.parametrize("error", [NotReady("soon"), OSError("disk"), ValueError("odd")])
def test_other_errors_are_tried_again_and_leave_no_stack_trace_in_the_row(
    run_as: RunAs, error: Exception
) -> None:
    def task(_context: JobContext) -> Effects:
        raise error

    run_as(task)

    assert the_job().status == JobStatus.QUEUED
    assert str(error) in the_job().error
    assert "Traceback" not in the_job().error


def test_a_cancelled_job_stops_and_writes_nothing(run_as: RunAs, lead: User) -> None:
    def task(context: JobContext) -> Effects:
        jobs.cancel(the_job(), actor=lead)
        for _ in range(100):
            context.checkpoint(0.5, "working")
            time.sleep(0.05)
        raise AssertionError("the task was never asked to stop")

    run = run_as(task, lease_s=0.6)

    assert run.outcome is RunOutcome.LOST
    assert the_job().status == JobStatus.CANCELLED


def test_a_task_without_progress_loses_its_lease_and_its_effects(
    run_as: RunAs, monkeypatch: pytest.MonkeyPatch, project: Project
) -> None:
    spec = JOB_SPECS[JobKind.EMBED_IMAGE]
    monkeypatch.setattr(
        run_job, "JOB_SPECS", {**JOB_SPECS, JobKind.EMBED_IMAGE: replace(spec, stall_s=0.5)}
    )

    def task(_context: JobContext) -> Effects:
        time.sleep(1.5)
        return lambda: Project.objects.filter(pk=project.pk).update(name="changed")

    run = run_as(task, lease_s=0.6)

    assert run.outcome is RunOutcome.LOST
    assert Project.objects.get().name != "changed"
    assert the_job().status == JobStatus.QUEUED
    assert the_job().error == "no progress for 0.5 s"
    assert JobAttempt.objects.get().outcome == "stalled"


def test_a_task_past_its_deadline_is_stopped_though_it_makes_progress(
    run_as: RunAs, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = JOB_SPECS[JobKind.EMBED_IMAGE]
    monkeypatch.setattr(
        run_job, "JOB_SPECS", {**JOB_SPECS, JobKind.EMBED_IMAGE: replace(spec, deadline_s=0.8)}
    )

    def task(context: JobContext) -> Effects:
        for step in range(100):
            context.checkpoint(step / 100, f"step {step}")
            time.sleep(0.05)
        raise AssertionError("the task was never asked to stop")

    run = run_as(task, lease_s=0.6)

    assert run.outcome is RunOutcome.LOST
    assert the_job().status == JobStatus.QUEUED
    assert the_job().error == "not done after 0.8 s"
    assert JobAttempt.objects.get().outcome == "timed out"


def test_effects_are_withheld_when_no_heartbeat_got_through_for_a_lease(
    run_as: RunAs, monkeypatch: pytest.MonkeyPatch, project: Project
) -> None:
    """The process was frozen: its own clock says so before any thread has asked the database."""

    def task(_context: JobContext) -> Effects:
        monkeypatch.setattr(heartbeat.Heartbeat, "_tick", lambda self: None)
        time.sleep(1.2)
        return lambda: Project.objects.filter(pk=project.pk).update(name="changed")

    run = run_as(task, lease_s=0.6)

    assert run.outcome is RunOutcome.LOST
    assert Project.objects.get().name != "changed"


def test_a_task_that_only_lost_its_lease_is_not_killed_for_it(
    run_as: RunAs, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[int] = []
    limits = partial(heartbeat.Limits, sigterm_after_s=0.1, sigkill_after_s=0.2)
    monkeypatch.setattr(run_job, "Limits", limits)
    monkeypatch.setattr(
        run_job, "Heartbeat", partial(heartbeat.Heartbeat, kill=lambda _, sign: sent.append(sign))
    )

    def task(_context: JobContext) -> Effects:
        job = the_job()
        Job.objects.filter(pk=job.pk).update(fence=job.fence + 1, lease_owner="another")
        time.sleep(2)
        return lambda: None

    run = run_as(task, lease_s=1.0)

    assert (run.outcome, run.message) == (RunOutcome.LOST, "its lease was lost")
    assert sent == []


def test_a_task_that_does_not_listen_gets_its_process_terminated_then_killed(
    run_as: RunAs, monkeypatch: pytest.MonkeyPatch, lead: User
) -> None:
    sent: list[int] = []
    limits = partial(heartbeat.Limits, sigterm_after_s=0.3, sigkill_after_s=0.6)
    monkeypatch.setattr(run_job, "Limits", limits)
    monkeypatch.setattr(
        run_job, "Heartbeat", partial(heartbeat.Heartbeat, kill=lambda _, sign: sent.append(sign))
    )

    def task(_context: JobContext) -> Effects:
        jobs.cancel(the_job(), actor=lead)
        time.sleep(2.5)  # ignores the request
        return lambda: None

    run = run_as(task, lease_s=1.0)

    assert run.outcome is RunOutcome.LOST
    assert sent == [signal.SIGTERM, signal.SIGKILL]
    assert the_job().status == JobStatus.CANCELLED


def test_a_task_with_progress_outlives_its_lease_many_times(run_as: RunAs) -> None:
    def task(context: JobContext) -> Effects:
        for step in range(20):
            context.checkpoint(step / 20, f"step {step}")
            time.sleep(0.1)
        assert jobs.reap() == 0
        return lambda: None

    run = run_as(task, lease_s=0.5)

    assert run.outcome is RunOutcome.SUCCEEDED
    assert JobAttempt.objects.count() == 1


def test_a_stopping_worker_releases_its_job_without_counting_the_attempt(run_as: RunAs) -> None:
    stop = StopFlag()

    def task(context: JobContext) -> Effects:
        stop.set()
        context.checkpoint(0.5)
        raise AssertionError("the task went on")

    run = run_as(task, stop=stop)

    assert run.outcome is RunOutcome.RELEASED
    assert the_job().status == JobStatus.QUEUED
    assert the_job().attempts == 0


def test_a_worker_that_slept_through_its_lease_writes_nothing(
    run_as: RunAs, project: Project
) -> None:
    """Its job was claimed by another one: the fence refuses the late effects."""

    def task(_context: JobContext) -> Effects:
        job = the_job()
        Job.objects.filter(pk=job.pk).update(fence=job.fence + 1, lease_owner="another")
        return lambda: Project.objects.filter(pk=project.pk).update(name="changed")

    run = run_as(task)

    assert run.outcome is RunOutcome.LOST
    assert Project.objects.get().name != "changed"
