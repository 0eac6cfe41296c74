"""What people and sweepers do to the queue: cancel, retry, raise the priority, reap."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db import transaction
from django.db.models import QuerySet

from engine.domain.errors import Conflict
from engine.domain.roles import Permission
from engine.domain.states import AttemptOutcome, JobStatus
from engine.models import EngineStage, Job, User
from engine.models.job import LIVE
from engine.services.clock import database_now
from engine.services.jobs.job_completion import (
    NO_LEASE,
    abandon,
    complete_waiting,
    fail_attempt,
    notify_after_commit,
    on_retry,
)
from engine.services.people.roles import require
from engine.services.transitions import move, move_many

ENDINGS = {
    JobStatus.SUCCEEDED: "succeeded",
    JobStatus.FAILED: "failed",
    JobStatus.DEAD: "used up its attempts",
    JobStatus.CANCELLED: "been cancelled",
}
BROKEN = (JobStatus.FAILED.value, JobStatus.DEAD.value)


def cancel(job: Job, *, actor: User) -> Job:
    """Cancel a queued job now; ask a running one to stop; with a waiting one, all its children.

    A running job is cancelled once its worker has released it, at the latest when its process
    has been killed or its lease is over. Conflict when it is over already.
    """
    require(actor, Permission.MANAGE_JOBS, job.project)
    return stop(job, actor=actor)


def stop(job: Job, *, actor: User) -> Job:
    """Do as `cancel`; the caller has made sure that the actor may."""
    with transaction.atomic():
        job = Job.objects.select_for_update().get(pk=job.pk)
        if job.status not in LIVE:
            raise Conflict(f"the job has already {ENDINGS[JobStatus(job.status)]}")
        if job.status == JobStatus.QUEUED:
            abandon(job, JobStatus.CANCELLED, actor=actor)
        else:
            _ask_to_stop(job)
    # Not inside the parent's lock: a finishing child locks itself, then its parent.
    for child in job.children.filter(status__in=LIVE):
        try:
            stop(child, actor=actor)
        except Conflict:
            continue  # it has just ended by itself
    complete_waiting(job.pk)
    job.refresh_from_db()
    return job


def stop_those_of_stage(stage: EngineStage, *, actor: User) -> int:
    """Cancel what is queued for a stage that is over and ask what runs to stop; return how many.

    In the caller's transaction. A job whose row is locked is being claimed or finished at this
    very moment and goes on to its end: waiting for it could wait for ourselves.
    """
    of_stage = stage.project.jobs.filter(args__stage=str(stage.pk))
    num_queued = cancel_queued(of_stage, actor=actor, reason="its stage is over")
    locked = of_stage.select_for_update(skip_locked=True)
    running = [job.pk for job in locked.filter(status=JobStatus.RUNNING.value)]
    Job.objects.filter(pk__in=running, cancel_requested_at__isnull=True).update(
        cancel_requested_at=database_now()
    )
    return num_queued + len(running)


def cancel_queued(wanted: QuerySet[Job], *, actor: User | None, reason: str) -> int:
    """Cancel those of the jobs that are queued and not being claimed just now; return how many.

    In the caller's transaction.
    """
    locked = wanted.select_for_update(skip_locked=True)
    queued = list(locked.filter(status=JobStatus.QUEUED.value))
    move_many(
        queued,
        JobStatus.CANCELLED,
        actor=actor,
        reason=reason,
        changes={**NO_LEASE, "finished_at": database_now()},
    )
    return len(queued)


def retry(job: Job, *, actor: User) -> Job:
    """Queue a failed or dead job again with all its attempts; of a parent, what failed."""
    require(actor, Permission.MANAGE_JOBS, job.project)
    if Job.objects.filter(idem_key=job.idem_key, status__in=LIVE).exclude(pk=job.pk).exists():
        raise Conflict("the same work is already queued or running")
    broken = list(job.children.filter(status__in=BROKEN))
    with transaction.atomic():
        job = Job.objects.select_for_update().get(pk=job.pk)
        changes = {
            "attempts": 0,
            "run_after": database_now(),
            "finished_at": None,
            "cancel_requested_at": None,
            "progress_pct": 0,
            "progress_text": "",
        }
        to = JobStatus.WAITING if broken and job.status == JobStatus.FAILED else JobStatus.QUEUED
        move(job, to, actor=actor, reason="retried", changes=changes)
        on_retry(job)
        notify_after_commit(job)
        if to == JobStatus.WAITING:
            for child in broken:
                _retry_child(child, actor=actor, changes=changes)
    return job


def raise_priority(job: Job, *, priority: int) -> None:
    """Let a queued job run before less urgent ones; one that runs or is more urgent stays as is."""
    Job.objects.filter(pk=job.pk, status=JobStatus.QUEUED.value, priority__gt=priority).update(
        priority=priority
    )


def reap() -> int:
    """Take running jobs from workers whose lease is over: queue them again, or declare them dead.

    Returns how many. Safe to run anywhere, any number of times at once. Also ends parents whose
    last child ended without completing them.
    """
    overdue = Job.objects.filter(status=JobStatus.RUNNING.value, lease_until__lt=database_now())
    num_reaped = 0
    for job_id in list(overdue.values_list("pk", flat=True)):
        with transaction.atomic():
            job = overdue.filter(pk=job_id).select_for_update(skip_locked=True).first()
            if job is not None:  # else: its heartbeat or another reaper was faster
                error = f"the worker {job.lease_owner} was lost (attempt {job.attempts})"
                fail_attempt(job, error=error, outcome=AttemptOutcome.LOST)
                num_reaped += 1
    waiting = Job.objects.filter(status=JobStatus.WAITING.value)
    for parent in waiting.exclude(children__status__in=LIVE):
        complete_waiting(parent.pk)
    return num_reaped


def _ask_to_stop(job: Job) -> None:
    Job.objects.filter(pk=job.pk, status=job.status, cancel_requested_at__isnull=True).update(
        cancel_requested_at=database_now()
    )


def _retry_child(child: Job, *, actor: User, changes: Mapping[str, Any]) -> None:
    move(child, JobStatus.QUEUED, actor=actor, reason="retried", changes=changes)
    on_retry(child)
    notify_after_commit(child)
