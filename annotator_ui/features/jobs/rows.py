"""Tables of background jobs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db.models import Count
from django.utils import timezone

from annotator_ui.progress import ago, duration, eta_s, progress_line
from annotator_ui.wording import tone
from engine.domain.jobs import JOB_SPECS, title_of
from engine.domain.states import JobStatus
from engine.models import Job, JobAttempt, Project
from engine.services.jobs.job_subjects import subjects_of

NUM_RECENT = 8


NUM_RUNNING = 8


NUM_BROKEN = 8


PER_IMAGE_STATES = {JobStatus.SUCCEEDED: "done", JobStatus.QUEUED: "waiting"}


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptRow:
    number: int
    worker: str
    started_at: datetime
    took: str
    outcome: str
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRow:
    id: UUID
    kind: str
    title: str
    subject: str
    status: str
    tone: str
    running: bool
    progress_pct: float
    progress_line: str
    summary: str
    error: str
    attempts: int
    max_attempts: int
    history: Sequence[AttemptRow]
    when: str
    can_cancel: bool
    can_retry: bool


def shown_jobs(project: Project) -> list[Job]:
    """Running jobs, then broken ones, then other waiting ones, then what ended last.

    Finished and waiting work on single images is left out: there may be thousands.
    """
    jobs = project.jobs.order_by("-created_at")
    other = jobs.exclude(kind__in=_per_image_kinds())
    live = jobs.filter(status__in=[JobStatus.RUNNING.value, JobStatus.WAITING.value])
    live = live.order_by("started_at")[:NUM_RUNNING]
    broken = jobs.filter(status__in=[JobStatus.FAILED.value, JobStatus.DEAD.value])[:NUM_BROKEN]
    queued = other.filter(status=JobStatus.QUEUED.value)[:NUM_RECENT]
    over = other.filter(status__in=[JobStatus.SUCCEEDED.value, JobStatus.CANCELLED.value])
    return [*live, *broken, *queued, *over.order_by("-finished_at")[:NUM_RECENT]]


def job_rows(project: Project) -> list[JobRow]:
    return rows_of(shown_jobs(project), attempts={})


def rows_of(jobs: Sequence[Job], *, attempts: Mapping[UUID, Sequence[JobAttempt]]) -> list[JobRow]:
    """Describe what each job does and how far it is. `attempts`: their history, if shown."""
    subjects = subjects_of(jobs)
    now = timezone.now()
    return [
        job_row(job, subject=subjects.get(job.pk, ""), attempts=attempts.get(job.pk, ()), now=now)
        for job in jobs
    ]


def per_image_phrases(project: Project) -> list[str]:
    """How far the work on single images is: "embed image: 11 done, 2 waiting"."""
    kinds = _per_image_kinds()
    rows = (
        project.jobs.filter(kind__in=kinds, status__in=list(PER_IMAGE_STATES))
        .order_by()
        .values_list("kind", "status")
        .annotate(number=Count("pk"))
    )
    found = {(kind, status): number for kind, status, number in rows}
    phrases = []
    for kind in kinds:
        counts = [
            f"{found[kind, status]} {word}"
            for status, word in PER_IMAGE_STATES.items()
            if (kind, status) in found
        ]
        if counts:
            phrases.append(f"{title_of(kind).lower()}: {', '.join(counts)}")
    return phrases


def _per_image_kinds() -> list[str]:
    return [kind for kind, spec in JOB_SPECS.items() if spec.is_per_image]


def job_row(
    job: Job, *, subject: str, now: datetime, attempts: Sequence[JobAttempt] = ()
) -> JobRow:
    status = JobStatus(job.status)
    remaining_s = eta_s(
        progress_pct=job.progress_pct,
        started_at=job.started_at,
        finished_at=job.finished_at,
        now=now,
    )
    live = status in (JobStatus.QUEUED, JobStatus.RUNNING, JobStatus.WAITING)
    stopping = live and job.cancel_requested_at is not None
    return JobRow(
        id=job.pk,
        kind=job.kind,
        title=title_of(job.kind),
        subject=subject,
        status="stopping" if stopping else job.status,
        tone=tone(job.status),
        running=status in (JobStatus.RUNNING, JobStatus.WAITING),
        progress_pct=job.progress_pct,
        progress_line=progress_line(job.progress_pct, job.progress_text, remaining_s),
        summary=_summary(job),
        error=job.error if status in (JobStatus.FAILED, JobStatus.DEAD, JobStatus.QUEUED) else "",
        attempts=job.attempts,
        max_attempts=job.max_attempts,
        history=[_attempt_row(attempt, now=now) for attempt in attempts],
        when=ago(job.started_at, now=now) if job.started_at else "",
        can_cancel=live and not stopping,
        can_retry=status in (JobStatus.FAILED, JobStatus.DEAD),
    )


def _attempt_row(attempt: JobAttempt, *, now: datetime) -> AttemptRow:
    seconds = ((attempt.ended_at or now) - attempt.started_at).total_seconds()
    return AttemptRow(
        number=attempt.fence,
        worker=attempt.worker,
        started_at=attempt.started_at,
        took=duration(max(seconds, 0)),
        outcome=attempt.outcome or "running",
        error=attempt.error,
    )


def _summary(job: Job) -> str:
    if job.status == JobStatus.QUEUED:
        return "waiting for a worker"
    if job.status == JobStatus.SUCCEEDED and job.started_at and job.finished_at:
        return f"took {max((job.finished_at - job.started_at).total_seconds(), 0):.0f} s"
    return ""
