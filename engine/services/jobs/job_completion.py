"""How rows of the queue end and what that entails. Shared by jobs.py and job_control.py only."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import partial
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.utils.module_loading import import_string

from engine.domain.jobs import JOB_SPECS
from engine.domain.states import AttemptOutcome, JobStatus
from engine.models import Job, JobAttempt, User
from engine.models.job import LIVE
from engine.services.clock import database_now
from engine.services.transitions import move

logger = logging.getLogger(__name__)

MAX_ERROR_CHARACTERS = 4_000
NO_LEASE: Mapping[str, Any] = {"lease_until": None, "lease_owner": ""}


def on_abandoned(job: Job) -> None:
    """Do what the kind's spec names for a job that ends without success."""
    if job.kind in JOB_SPECS and (path := JOB_SPECS[job.kind].on_abandoned):
        import_string(path)(job)


def on_retry(job: Job) -> None:
    """Do what the kind's spec names for an abandoned job that is queued again."""
    if job.kind in JOB_SPECS and (path := JOB_SPECS[job.kind].on_retry):
        import_string(path)(job)


def queue_again(job: Job, *, reason: str, changes: Mapping[str, Any]) -> None:
    """Return a running job to the queue, in the caller's transaction."""
    move(job, JobStatus.QUEUED, reason=reason, changes={**NO_LEASE, **changes})
    notify_after_commit(job)


def abandon(
    job: Job, to: JobStatus, *, changes: Mapping[str, Any] | None = None, actor: User | None = None
) -> None:
    """End a job without success, in the caller's transaction."""
    ended = {**NO_LEASE, **(changes or {}), "finished_at": database_now()}
    move(job, to, actor=actor, changes=ended)
    on_abandoned(job)
    complete_parent(job)


def fail_attempt(job: Job, *, error: str, outcome: AttemptOutcome, retry_at: Any = None) -> None:
    """Queue a running job again, or declare it dead when its attempts are used up.

    retry_at: not before this time; None is at once. In the caller's transaction.
    """
    error = error[:MAX_ERROR_CHARACTERS].replace("\x00", "")
    if job.cancel_requested_at is not None:
        abandon(job, JobStatus.CANCELLED)
    elif job.attempts >= job.max_attempts:
        abandon(job, JobStatus.DEAD, changes={"error": error})
    else:
        later = {"run_after": retry_at} if retry_at else {}
        queue_again(job, reason=outcome.value, changes={"error": error, **later})
    end_attempt(job, outcome, error=error)


def end_attempt(job: Job, outcome: AttemptOutcome, *, error: str = "") -> None:
    """Close the row of the attempt that just ended; a trigger lets this happen once."""
    JobAttempt.objects.filter(job=job, fence=job.fence, ended_at__isnull=True).update(
        ended_at=database_now(), outcome=outcome.value, error=error
    )


def complete_parent(child: Job) -> None:
    """Show a waiting parent how far its children are; end it with the last of them.

    The parent's row is locked, always after the child's: of two last children that end at the
    same moment the second sees the first.
    """
    if child.parent_id is not None:
        complete_waiting(child.parent_id)


def complete_waiting(parent_id: UUID) -> bool:
    """End a waiting job whose children are all over; True when it did."""
    waiting = Job.objects.filter(pk=parent_id, status=JobStatus.WAITING.value)
    with transaction.atomic():
        parent = waiting.select_for_update().first()
        if parent is None:
            return False
        statuses = list(parent.children.values_list("status", flat=True))
        num_over = sum(status not in LIVE for status in statuses)
        if num_over < len(statuses):
            waiting.update(
                progress_pct=100 * num_over // len(statuses),
                progress_text=f"{num_over} of {len(statuses)} parts",
            )
            return False
        _end_parent(parent, statuses=statuses)
    return True


def _end_parent(parent: Job, *, statuses: list[str]) -> None:
    num_failed = sum(status in (JobStatus.FAILED, JobStatus.DEAD) for status in statuses)
    if parent.cancel_requested_at is not None:
        abandon(parent, JobStatus.CANCELLED)
    elif num_failed:
        error = f"{num_failed} of {len(statuses)} parts failed; a retry runs only those"
        abandon(parent, JobStatus.FAILED, changes={"error": error})
    else:
        changes = {"finished_at": database_now(), "progress_pct": 100, "error": ""}
        move(parent, JobStatus.SUCCEEDED, reason="all parts done", changes=changes)
        complete_parent(parent)


def notify_after_commit(job: Job) -> None:
    """Notify workers, once the change is committed, that there is something to claim."""
    transaction.on_commit(partial(_notify, job.pk, job.queue))


def _notify(job_id: UUID, queue: str) -> None:
    """Notify once; a lost notification costs one poll, so never raise."""
    if not settings.ENGINE_JOB_DISPATCHER:
        return
    try:
        import_string(settings.ENGINE_JOB_DISPATCHER)(job_id, queue)
    except Exception:
        logger.warning("workers were not notified of job %s", job_id, exc_info=True)
