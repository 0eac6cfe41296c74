"""The job queue: rows of one table, claimed under a lease, finished under a fence.

A bell (settings.ENGINE_JOB_DISPATCHER) may tell workers to look; nothing depends on its arrival.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.utils.module_loading import import_string

from engine.domain.errors import Conflict, InvalidInput, StaleState
from engine.domain.jobs import QUEUES, SPECS, JobKind, retry_after_s
from engine.domain.states import JobStatus
from engine.models import Job, JobAttempt, Project, User
from engine.services.clock import database_now
from engine.services.json_values import json_safe
from engine.services.roles import require_lead
from engine.services.transitions import move

logger = logging.getLogger(__name__)

LIVE = (JobStatus.QUEUED.value, JobStatus.RUNNING.value)
MAX_ERROR_CHARACTERS = 4_000
_NO_LEASE: Mapping[str, Any] = {"lease_until": None, "lease_owner": ""}


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimedJob:
    """A job that is ours until its lease ends. `fence` proves it in every later call."""

    id: UUID
    kind: JobKind
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
class Hooks:
    """What else changes when a job of a kind is given up for good, or tried again after that."""

    given_up: Callable[[Job], object]
    tried_again: Callable[[Job], object]


_hooks: dict[JobKind, Hooks] = {}


def hook(kind: JobKind, hooks: Hooks) -> None:
    """Register what happens beside a job's row, in the same transaction (see services/outcomes)."""
    _hooks[kind] = hooks


def enqueue(
    kind: JobKind,
    *,
    project: Project,
    args: Mapping[str, Any],
    idem_key: str,
    priority: int | None = None,
    parent: Job | None = None,
) -> Job:
    """Queue work in the caller's transaction; return the live job of that key if there is one."""
    kind = JobKind(kind)
    spec = SPECS[kind]
    if set(args) != spec.args:
        raise InvalidInput(f"a {kind} job takes {sorted(spec.args)}, not {sorted(args)}")
    live = Job.objects.filter(idem_key=idem_key, status__in=LIVE)
    with transaction.atomic():
        for _ in range(3):  # the live one may finish between our insert and our read
            if job := live.first():
                return job
            job = Job(
                kind=kind.value,
                queue=spec.queue,
                priority=spec.priority if priority is None else priority,
                project=project,
                args={name: str(value) for name, value in args.items()},
                idem_key=idem_key,
                max_attempts=spec.max_attempts,
                parent=parent,
            )
            Job.objects.bulk_create([job], ignore_conflicts=True)
            if Job.objects.filter(pk=job.pk).exists():
                transaction.on_commit(partial(_ring, job.pk, job.queue))
                return job
    raise Conflict(f"jobs with the key {idem_key!r} come and go too fast")


def claim(queues: Sequence[str], *, worker: str, lease_s: float | None = None) -> ClaimedJob | None:
    """Take the most urgent claimable job, or None. Exactly one of racing workers gets it.

    lease_s: how long without a heartbeat; the kind's own when None.
    """
    waiting = Job.objects.filter(
        queue__in=list(queues), status=JobStatus.QUEUED.value, run_after__lte=database_now()
    ).order_by("priority", "created_at", "id")
    while waiting.exists():  # an idle poll must not take SQLite's write lock
        with transaction.atomic():
            # PostgreSQL: racers lock different rows. SQLite: the transaction itself is exclusive.
            job = waiting.select_for_update(skip_locked=True).first()
            if job is not None:
                return _claim_row(job, worker=worker[:200], lease_s=lease_s)
    return None


def heartbeat(claim: ClaimedJob, *, progress_pct: int | None = None, text: str = "") -> bool:
    """Extend the lease and show progress. False: the lease is lost or the job was cancelled."""
    shown: dict[str, Any] = {}
    if progress_pct is not None:
        shown = {"progress_pct": min(max(progress_pct, 0), 100), "progress_text": text[:200]}
    lease_until = database_now() + timedelta(seconds=claim.lease_s)
    ours = _ours(claim).filter(cancel_requested_at__isnull=True)
    if ours.update(lease_until=lease_until, **shown) == 1:
        return True
    _end_cancelled(claim)
    return False


def finish(claim: ClaimedJob, *, effects: Callable[[], object]) -> bool:
    """Mark the job succeeded and apply its effects in one transaction.

    False: somebody else owns the job now, or it was cancelled; then nothing is written. An error
    raised by `effects` undoes everything and is raised again. What `effects` returns is kept as
    the job's result when it is a dict.
    """
    if _end_cancelled(claim):
        return False
    with transaction.atomic():
        job = _ours(claim).filter(cancel_requested_at__isnull=True).select_for_update().first()
        if job is None:
            return False
        result = effects()
        changes = {
            **_NO_LEASE,
            "finished_at": database_now(),
            "progress_pct": 100,
            "error": "",
            "result": json_safe(result) if isinstance(result, dict) else None,
        }
        try:
            move(job, JobStatus.SUCCEEDED, changes=changes, guard={"fence": claim.fence})
        except StaleState:
            transaction.set_rollback(True)
            return False
        _end_attempt(job, "succeeded")
    return True


def publish(claim: ClaimedJob, *, effects: Callable[[], object]) -> bool:
    """Apply the effects of a part of the work while the job runs on, guarded by the fence.

    The part must be idempotent: another attempt publishes it again. False as for `finish`.
    """
    if _end_cancelled(claim):
        return False
    with transaction.atomic():
        ours = _ours(claim).filter(cancel_requested_at__isnull=True).select_for_update()
        if ours.first() is None:
            return False
        effects()
    return True


def fail(claim: ClaimedJob, *, error: str, retryable: bool) -> bool:
    """Record that the attempt failed: try again later, or give up (failed, or dead when used up).

    False when the job was no longer ours.
    """
    if _end_cancelled(claim):
        return False
    with transaction.atomic():
        job = _ours(claim).select_for_update().first()
        if job is None:
            return False
        changes = {**_NO_LEASE, "error": error[:MAX_ERROR_CHARACTERS].replace("\x00", "")}
        if retryable and job.attempts < job.max_attempts:
            later = database_now() + timedelta(seconds=retry_after_s(job.attempts))
            move(job, JobStatus.QUEUED, reason="failed", changes={**changes, "run_after": later})
        else:
            to = JobStatus.DEAD if retryable else JobStatus.FAILED
            _give_up(job, to, changes=changes)
        _end_attempt(job, "failed")
    return True


def give_back(claim: ClaimedJob) -> bool:
    """Return a job that a stopping worker could not finish; the attempt does not count."""
    if _end_cancelled(claim):
        return False
    with transaction.atomic():
        job = _ours(claim).select_for_update().first()
        if job is None:
            return False
        changes = {**_NO_LEASE, "attempts": job.attempts - 1}
        move(job, JobStatus.QUEUED, reason="worker stopped", changes=changes)
        _end_attempt(job, "given back")
        transaction.on_commit(partial(_ring, job.pk, job.queue))
    return True


def cancel(job: Job, *, actor: User) -> Job:
    """Cancel a queued job now, a running one at its next heartbeat. Conflict when it is over."""
    require_lead(actor, to="cancel jobs")
    return stop(job, actor=actor)


def stop(job: Job, *, actor: User) -> Job:
    """Cancel a job; the caller has made sure that the actor may."""
    with transaction.atomic():
        job = Job.objects.select_for_update().get(pk=job.pk)
        if job.status == JobStatus.QUEUED:
            _give_up(job, JobStatus.CANCELLED, changes={}, actor=actor)
        elif job.status == JobStatus.RUNNING:
            Job.objects.filter(pk=job.pk, cancel_requested_at__isnull=True).update(
                cancel_requested_at=database_now()
            )
            job.refresh_from_db()
        else:
            raise Conflict(f"the job has already {_ENDINGS[JobStatus(job.status)]}")
    return job


def retry(job: Job, *, actor: User) -> Job:
    """Queue a failed or dead job again with all its attempts."""
    require_lead(actor, to="retry jobs")
    if Job.objects.filter(idem_key=job.idem_key, status__in=LIVE).exists():
        raise Conflict("the same work is already queued or running")
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
        move(job, JobStatus.QUEUED, actor=actor, reason="retried", changes=changes)
        if hooks := _hooks.get(JobKind(job.kind)):
            hooks.tried_again(job)
        transaction.on_commit(partial(_ring, job.pk, job.queue))
    return job


def reap() -> int:
    """Take running jobs from workers whose lease is over: queue them again, or declare them dead.

    Returns how many. Safe to run anywhere, any number of times at once.
    """
    overdue = Job.objects.filter(status=JobStatus.RUNNING.value, lease_until__lt=database_now())
    num_reaped = 0
    for job_id in list(overdue.values_list("pk", flat=True)):
        with transaction.atomic():
            job = overdue.filter(pk=job_id).select_for_update(skip_locked=True).first()
            if job is not None:  # else: its heartbeat or another reaper was faster
                _reap_row(job)
                num_reaped += 1
    return num_reaped


def num_claimable(queue: str) -> int:
    """Count the jobs of a queue that a worker could claim now."""
    if queue not in QUEUES:
        raise InvalidInput(f"there is no queue {queue!r}, only {', '.join(QUEUES)}")
    return Job.objects.filter(
        queue=queue, status=JobStatus.QUEUED.value, run_after__lte=database_now()
    ).count()


_ENDINGS: Mapping[JobStatus, str] = {
    JobStatus.SUCCEEDED: "succeeded",
    JobStatus.FAILED: "failed",
    JobStatus.DEAD: "used up its attempts",
    JobStatus.CANCELLED: "been cancelled",
}


def _ours(claim: ClaimedJob) -> Any:
    return Job.objects.filter(Q(pk=claim.id), fence=claim.fence, status=JobStatus.RUNNING.value)


def _claim_row(job: Job, *, worker: str, lease_s: float | None) -> ClaimedJob:
    now = database_now()
    kind = JobKind(job.kind)
    lease_s = SPECS[kind].lease_s if lease_s is None else lease_s
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
    JobAttempt.objects.create(job=job, fence=job.fence, worker=worker, started_at=now)
    return ClaimedJob(
        id=job.pk,
        kind=kind,
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


def _reap_row(job: Job) -> None:
    if job.cancel_requested_at is not None:
        _give_up(job, JobStatus.CANCELLED, changes=_NO_LEASE)
    elif job.attempts >= job.max_attempts:
        error = job.error or f"the worker {job.lease_owner} was lost {job.attempts} times"
        _give_up(job, JobStatus.DEAD, changes={**_NO_LEASE, "error": error})
    else:
        move(job, JobStatus.QUEUED, reason="worker lost", changes=_NO_LEASE)
        transaction.on_commit(partial(_ring, job.pk, job.queue))
    _end_attempt(job, "lost")


def _end_cancelled(claim: ClaimedJob) -> bool:
    """End our job if its cancelling was asked for; True when it was."""
    with transaction.atomic():
        job = _ours(claim).filter(cancel_requested_at__isnull=False).select_for_update().first()
        if job is None:
            return False
        _give_up(job, JobStatus.CANCELLED, changes=_NO_LEASE)
        _end_attempt(job, "cancelled")
    return True


def _give_up(
    job: Job, to: JobStatus, *, changes: Mapping[str, Any], actor: User | None = None
) -> None:
    move(job, to, actor=actor, changes={**changes, "finished_at": database_now()})
    if hooks := _hooks.get(JobKind(job.kind)):
        hooks.given_up(job)


def _end_attempt(job: Job, outcome: str) -> None:
    ended_at: datetime = database_now()
    JobAttempt.objects.filter(job=job, fence=job.fence, ended_at__isnull=True).update(
        ended_at=ended_at, outcome=outcome
    )


def _ring(job_id: UUID, queue: str) -> None:
    """Tell workers that there is something to claim; a lost bell costs one poll, so never raise."""
    if not settings.ENGINE_JOB_DISPATCHER:
        return
    try:
        import_string(settings.ENGINE_JOB_DISPATCHER)(job_id, queue)
    except Exception:
        logger.warning("the bell for job %s was not rung", job_id, exc_info=True)
