"""The job queue: rows of one table, claimed under a lease, finished under a fence.

This is the protocol between the queue and a worker; what people order is in job_control.py.
settings.ENGINE_JOB_DISPATCHER may notify workers of new jobs; nothing depends on its arrival.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet

from engine.domain.errors import Conflict, InvalidInput, StaleState
from engine.domain.jobs import JOB_SPECS, QUEUES, retry_after_s, stored_args
from engine.domain.states import AttemptOutcome, JobStatus
from engine.models import Job, JobAttempt, Project
from engine.models.job import LIVE
from engine.services.clock import database_now
from engine.services.jobs.job_completion import (
    MAX_ERROR_CHARACTERS,
    NO_LEASE,
    abandon,
    complete_parent,
    complete_waiting,
    end_attempt,
    fail_attempt,
    notify_after_commit,
    queue_again,
)
from engine.services.jobs.job_control import cancel, raise_priority, reap, retry
from engine.services.json_values import json_safe
from engine.services.transitions import move

__all__ = [
    "MAX_ERROR_CHARACTERS",
    "ClaimedJob",
    "Request",
    "cancel",
    "claim",
    "end_cancelled",
    "enqueue",
    "enqueue_many",
    "fail",
    "finish",
    "heartbeat",
    "is_cancelled",
    "num_claimable",
    "raise_priority",
    "reap",
    "release",
    "retry",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimedJob:
    """A job that is ours until its lease ends. `fence` proves it in every later call."""

    id: UUID
    kind: str
    queue: str
    project_id: UUID
    args: Mapping[str, Any]
    idem_key: str
    fence: int
    attempt: int
    max_attempts: int
    worker: str
    lease_s: float
    parent_id: UUID | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One of many jobs to queue. priority: the kind's own when None."""

    args: Mapping[str, Any]
    idem_key: str
    priority: int | None = None


def enqueue(
    kind: str,
    *,
    project: Project,
    args: Mapping[str, Any],
    idem_key: str,
    priority: int | None = None,
    parent: Job | None = None,
) -> Job:
    """Queue work in the caller's transaction; return the live job of that key if there is one."""
    row = partial(_new_row, kind, project=project, parent=parent)
    live = Job.objects.filter(idem_key=idem_key, status__in=LIVE)
    with transaction.atomic():
        for _ in range(3):  # the live one may finish between our insert and our read
            if job := live.first():
                return job
            job = row(Request(args=args, idem_key=idem_key, priority=priority))
            Job.objects.bulk_create([job], ignore_conflicts=True)
            if Job.objects.filter(pk=job.pk).exists():
                notify_after_commit(job)
                return job
    raise Conflict(f"jobs with the key {idem_key!r} come and go too fast")


def enqueue_many(
    kind: str, *, project: Project, requests: Sequence[Request], parent: Job | None = None
) -> int:
    """Queue many jobs of a kind in a few statements; return how many were not queued already."""
    rows = [_new_row(kind, one, project=project, parent=parent) for one in requests]
    before = project.jobs.filter(kind=kind).count()
    Job.objects.bulk_create(rows, ignore_conflicts=True, batch_size=500)
    if rows:
        notify_after_commit(rows[0])
    return project.jobs.filter(kind=kind).count() - before


def claim(
    queues: Sequence[str],
    *,
    worker: str,
    lease_s: float | None = None,
    only: UUID | None = None,
) -> ClaimedJob | None:
    """Take the most urgent claimable job, or None. Exactly one of racing workers gets it.

    lease_s: how long without a heartbeat; the kind's own when None.
    only: the one job to take, for a command that runs what it asked for.
    """
    waiting = _claimable(queues).order_by("priority", "created_at", "id")
    if only is not None:
        waiting = waiting.filter(pk=only)
    while waiting.exists():  # an idle poll must not take SQLite's write lock
        with transaction.atomic():
            # PostgreSQL: racers lock different rows. SQLite: the transaction itself is exclusive.
            job = waiting.select_for_update(skip_locked=True).first()
            if job is not None:
                return _claim_row(job, worker=worker[:200], lease_s=lease_s)
    return None


def heartbeat(claim: ClaimedJob, *, progress_pct: int | None = None, text: str = "") -> bool:
    """Extend the lease and show progress. False: the lease is lost or the job is to be cancelled.

    After False the task must stop; then `end_cancelled` records that it has.
    """
    shown: dict[str, Any] = {}
    if progress_pct is not None:
        shown = {"progress_pct": min(max(progress_pct, 0), 100), "progress_text": text[:200]}
    lease_until = database_now() + timedelta(seconds=claim.lease_s)
    ours = _ours(claim).filter(cancel_requested_at__isnull=True)
    return bool(ours.update(lease_until=lease_until, **shown) == 1)


def is_cancelled(claim: ClaimedJob) -> bool:
    """Tell whether our job is to be cancelled; False too when it is no longer ours."""
    return _ours(claim).filter(cancel_requested_at__isnull=False).exists()


def finish(claim: ClaimedJob, *, effects: Callable[[], object]) -> bool:
    """Mark the job succeeded and apply its effects in one transaction.

    A job whose effects queued children is `waiting` until the last of them is over.
    False: somebody else owns the job now, or it was cancelled; then nothing is written. An error
    raised by `effects` undoes everything and is raised again. What `effects` returns is kept as
    the job's result when it is a dict.
    """
    if end_cancelled(claim):
        return False
    with transaction.atomic():
        job = _ours(claim).filter(cancel_requested_at__isnull=True).select_for_update().first()
        if job is None:
            return False
        result = effects()
        changes = {
            **NO_LEASE,
            "progress_pct": 100,
            "error": "",
            "result": json_safe(result) if isinstance(result, dict) else None,
        }
        has_children = job.children.exists()
        if has_children:
            changes["progress_pct"] = 0
        else:
            changes["finished_at"] = database_now()
        try:
            to = JobStatus.WAITING if has_children else JobStatus.SUCCEEDED
            move(job, to, changes=changes, guard={"fence": claim.fence})
        except StaleState:
            transaction.set_rollback(True)
            return False
        end_attempt(job, AttemptOutcome.SUCCEEDED)
        if has_children:
            complete_waiting(job.pk)
        else:
            complete_parent(job)
    return True


def publish(claim: ClaimedJob, *, effects: Callable[[], object]) -> bool:
    """Apply the effects of a part of the work while the job runs on, guarded by the fence.

    The part must be idempotent: another attempt publishes it again. False as for `finish`.
    """
    if end_cancelled(claim):
        return False
    with transaction.atomic():
        ours = _ours(claim).filter(cancel_requested_at__isnull=True).select_for_update()
        if ours.first() is None:
            return False
        effects()
    return True


def fail(
    claim: ClaimedJob,
    *,
    error: str,
    retryable: bool,
    outcome: AttemptOutcome = AttemptOutcome.FAILED,
) -> bool:
    """Record that the attempt failed: try again later, or abandon the job (failed or dead).

    False when the job was no longer ours.
    """
    if end_cancelled(claim):
        return False
    with transaction.atomic():
        job = _ours(claim).select_for_update().first()
        if job is None:
            return False
        if retryable:
            later = database_now() + timedelta(seconds=retry_after_s(job.attempts))
            fail_attempt(job, error=error, outcome=outcome, retry_at=later)
        else:
            error = error[:MAX_ERROR_CHARACTERS].replace("\x00", "")
            abandon(job, JobStatus.FAILED, changes={"error": error})
            end_attempt(job, outcome, error=error)
    return True


def release(claim: ClaimedJob) -> bool:
    """Return a job that a stopping worker could not finish; the attempt does not count."""
    if end_cancelled(claim):
        return False
    with transaction.atomic():
        job = _ours(claim).select_for_update().first()
        if job is None:
            return False
        queue_again(job, reason="worker stopped", changes={"attempts": job.attempts - 1})
        end_attempt(job, AttemptOutcome.RELEASED)
    return True


def end_cancelled(claim: ClaimedJob) -> bool:
    """End our job if its cancelling was asked for; True when it was."""
    with transaction.atomic():
        job = _ours(claim).filter(cancel_requested_at__isnull=False).select_for_update().first()
        if job is None:
            return False
        abandon(job, JobStatus.CANCELLED)
        end_attempt(job, AttemptOutcome.CANCELLED)
    return True


def num_claimable(queue: str) -> int:
    """Count the jobs of a queue that a worker could claim now."""
    if queue not in QUEUES:
        raise InvalidInput(f"there is no queue {queue!r}, only {', '.join(QUEUES)}")
    return _claimable([queue]).count()


def _claimable(queues: Sequence[str]) -> QuerySet[Job]:
    """Jobs that may run now; of kinds that are registered here, for no other can be run."""
    return Job.objects.filter(
        queue__in=list(queues),
        kind__in=list(JOB_SPECS),
        status=JobStatus.QUEUED.value,
        run_after__lte=database_now(),
    )


def _ours(claim: ClaimedJob) -> QuerySet[Job]:
    return Job.objects.filter(pk=claim.id, fence=claim.fence, status=JobStatus.RUNNING.value)


def _new_row(kind: str, request: Request, *, project: Project, parent: Job | None) -> Job:
    """Return an unsaved job; InvalidInput for an unknown kind or arguments that are not its own."""
    args = stored_args(kind, request.args)
    spec = JOB_SPECS[kind]
    return Job(
        kind=str(kind),
        queue=spec.queue,
        priority=spec.priority if request.priority is None else request.priority,
        project=project,
        args=args,
        idem_key=request.idem_key,
        max_attempts=spec.max_attempts,
        parent=parent,
    )


def _claim_row(job: Job, *, worker: str, lease_s: float | None) -> ClaimedJob:
    now = database_now()
    lease_s = JOB_SPECS[job.kind].lease_s if lease_s is None else lease_s
    changes = {
        "fence": job.fence + 1,
        "attempts": job.attempts + 1,
        "lease_owner": worker,
        "lease_until": now + timedelta(seconds=lease_s),
        "started_at": now,
        "progress_pct": 0,
        "progress_text": "",
    }
    move(job, JobStatus.RUNNING, reason="claimed", changes=changes, guard={"fence": job.fence})
    JobAttempt.objects.create(
        job=job, fence=job.fence, worker=worker, pid=os.getpid(), started_at=now
    )
    return ClaimedJob(
        id=job.pk,
        kind=job.kind,
        queue=job.queue,
        project_id=job.project_id,
        args=job.args,
        idem_key=job.idem_key,
        fence=job.fence,
        attempt=job.attempts,
        max_attempts=job.max_attempts,
        worker=worker,
        lease_s=lease_s,
        parent_id=job.parent_id,
    )
