"""Run one claimed job: task, heartbeat, then its effects under the job's fence.

Every lane (embedded runner, Celery worker, replay) goes through `run_claim`; nothing else does.
"""

from __future__ import annotations

import enum
import logging
import time
from dataclasses import dataclass

from engine.domain.errors import DomainError, NotReady
from engine.domain.jobs import JOB_SPECS
from engine.models import Project
from engine.services.jobs import jobs
from engine.stop_flag import StopFlag
from workers.execution.context import JobContext, JobStopped
from workers.execution.heartbeat import Heartbeat, Limits, Progress
from workers.tasks import task_of

logger = logging.getLogger(__name__)


class RunOutcome(enum.StrEnum):
    """How a run of a job ended, as printed by the runner."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    LOST = "lost"  # cancelled, or somebody else owns it now: nothing was written
    RELEASED = "released"  # this process is stopping; the attempt does not count


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A finished run of a job, for the runner's line."""

    claim: jobs.ClaimedJob
    outcome: RunOutcome
    seconds: float
    message: str = ""


def run_next(
    queues: tuple[str, ...], *, worker: str, lease_s: float | None, stopping: StopFlag
) -> Run | None:
    """Claim the best job of `queues` and run it; None when nothing is claimable."""
    claim = jobs.claim(queues, worker=worker, lease_s=lease_s)
    if claim is None:
        return None
    return run_claim(claim, worker=worker, stopping=stopping)


def run_claim(claim: jobs.ClaimedJob, *, worker: str, stopping: StopFlag) -> Run:
    """Run a claimed job to its end; every error becomes a state of the job, none escapes.

    `stopping` is the request to this process to end: a task that notices it releases its job.
    """
    started_s = time.monotonic()
    progress = Progress()
    spec = JOB_SPECS[claim.kind]
    limits = Limits(stall_s=spec.stall_s, deadline_s=spec.deadline_s)
    heartbeat = Heartbeat(claim, progress=progress, limits=limits)
    context = _context(claim, worker=worker, progress=progress, heartbeat=heartbeat, stop=stopping)
    heartbeat.start()
    try:
        outcome, message = _attempt(context, heartbeat)
    finally:
        heartbeat.end()
    return Run(claim=claim, outcome=outcome, seconds=time.monotonic() - started_s, message=message)


def _context(
    claim: jobs.ClaimedJob,
    *,
    worker: str,
    progress: Progress,
    heartbeat: Heartbeat,
    stop: StopFlag,
) -> JobContext:
    return JobContext(
        job=claim,
        args=claim.args,
        project=Project.objects.get(pk=claim.project_id),
        worker=worker,
        _progress=progress,
        _must_stop=lambda: stop.is_set() or heartbeat.lost.is_set(),
    )


def _attempt(context: JobContext, heartbeat: Heartbeat) -> tuple[RunOutcome, str]:
    """Compute, then write the effects; the one place where a worker catches every error."""
    claim = context.job
    try:
        effects = task_of(claim.kind)(context)
        heartbeat.end()
        if not heartbeat.may_write:
            return _detach(claim, heartbeat)
        is_ours = jobs.finish(claim, effects=effects)
        return (RunOutcome.SUCCEEDED if is_ours else RunOutcome.LOST), ""
    except JobStopped:
        heartbeat.end()
        if not heartbeat.may_write:
            return _detach(claim, heartbeat)
        return (RunOutcome.RELEASED if jobs.release(claim) else RunOutcome.LOST), ""
    except DomainError as error:  # the same input would fail again
        retryable, message = isinstance(error, NotReady), error.message
    except Exception as error:
        logger.exception("job %s (%s) failed", claim.id, claim.kind)
        retryable, message = True, f"{type(error).__name__}: {error}"
    heartbeat.end()
    if not heartbeat.may_write:
        return _detach(claim, heartbeat)
    is_ours = jobs.fail(claim, error=message, retryable=retryable)
    return (RunOutcome.FAILED if is_ours else RunOutcome.LOST), message


def _detach(claim: jobs.ClaimedJob, heartbeat: Heartbeat) -> tuple[RunOutcome, str]:
    """Leave a job that is no longer ours; if it was cancelled, record that it has ended."""
    jobs.end_cancelled(claim)
    return RunOutcome.LOST, heartbeat.reason
