"""Questions about background work."""

from __future__ import annotations

from django.db.models import QuerySet

from engine.domain.states import JobStatus
from engine.models import Job, Project

LIVE = (JobStatus.QUEUED.value, JobStatus.RUNNING.value)


def for_project(project: Project) -> QuerySet[Job]:
    """All jobs, newest first."""
    return project.jobs.order_by("-created_at", "-id")


def live(project: Project) -> QuerySet[Job]:
    """Queued and running jobs, running ones first, then in the order they will be claimed."""
    return project.jobs.filter(status__in=LIVE).order_by("-status", "priority", "created_at")
