"""Questions about background work."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from django.db.models import Case, Count, Q, QuerySet, Value, When

from engine.domain.states import JobStatus
from engine.models import Job, JobAttempt, Project
from engine.models.job import LIVE


def live(project: Project) -> QuerySet[Job]:
    """Jobs that are not over: waiting and running ones, then in the order they will be claimed."""
    return project.jobs.filter(status__in=LIVE).order_by("-status", "priority", "created_at")


def live_first(project: Project) -> QuerySet[Job]:
    """All jobs: those that are not over in the order of `live`, then the others, newest first."""
    is_live = Q(status__in=LIVE)
    return project.jobs.order_by(
        Case(When(is_live, then=0), default=1),
        Case(When(is_live, then="status"), default=Value("")).desc(),
        Case(When(is_live, then="priority"), default=0),
        Case(When(is_live, then="created_at"), default=None),
        "-created_at",
        "-id",
    )


def history(
    project: Project, *, statuses: Sequence[str] = (), kinds: Sequence[str] = ()
) -> QuerySet[Job]:
    """Jobs of some states and kinds; empty means all. What runs comes first, then newest first."""
    is_at_work = Q(status__in=[JobStatus.RUNNING.value, JobStatus.WAITING.value])
    jobs = project.jobs.order_by(Case(When(is_at_work, then=0), default=1), "-created_at", "-id")
    if statuses:
        jobs = jobs.filter(status__in=statuses)
    return jobs.filter(kind__in=kinds) if kinds else jobs


def counts(project: Project) -> dict[str, int]:
    """How many jobs there are in each state that has any. One query."""
    rows = project.jobs.order_by().values_list("status").annotate(number=Count("pk"))
    return dict(rows)


def attempts_of(job_ids: Sequence[UUID]) -> dict[UUID, list[JobAttempt]]:
    """Every attempt of some jobs, first to last. One query."""
    found: dict[UUID, list[JobAttempt]] = {}
    for attempt in JobAttempt.objects.filter(job__in=job_ids).order_by("fence"):
        found.setdefault(attempt.job_id, []).append(attempt)
    return found
