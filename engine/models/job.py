"""Background work. This table is the queue; see services/jobs.py for its protocol."""

from __future__ import annotations

from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from engine.domain.jobs import QUEUES
from engine.domain.states import AttemptOutcome, JobStatus
from engine.models.base import NAME_CHARACTERS, Row, StatefulRow, one_of
from engine.models.project import Project

_RUNNING = Q(status=JobStatus.RUNNING.value)
LIVE = (JobStatus.QUEUED.value, JobStatus.RUNNING.value, JobStatus.WAITING.value)
_LIVE = Q(status__in=LIVE)


class Job(StatefulRow):
    """`fence` counts claims: a worker whose fence is not the row's has lost the job.

    `kind` is the name of a job spec; which there are is known to their registry alone.
    """

    STATES = JobStatus
    kind = models.CharField(max_length=24)
    queue = models.CharField(max_length=8)
    priority = models.SmallIntegerField()
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="jobs")
    args = models.JSONField(default=dict)
    idem_key = models.CharField(max_length=NAME_CHARACTERS)
    status = models.CharField(max_length=16, default=JobStatus.QUEUED.value)
    run_after = models.DateTimeField(default=timezone.now)
    attempts = models.PositiveIntegerField(default=0)
    max_attempts = models.PositiveIntegerField()
    fence = models.PositiveBigIntegerField(default=0)
    lease_owner = models.CharField(max_length=NAME_CHARACTERS, default="", blank=True)
    lease_until = models.DateTimeField(null=True)
    progress_pct = models.PositiveSmallIntegerField(default=0)
    progress_text = models.CharField(max_length=NAME_CHARACTERS, default="", blank=True)
    result = models.JSONField(null=True)
    error = models.TextField(default="", blank=True)
    parent = models.ForeignKey(
        "self", on_delete=models.SET_NULL, null=True, related_name="children"
    )
    cancel_requested_at = models.DateTimeField(null=True)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["created_at", "id"]
        constraints = [
            one_of("status", JobStatus, name="job_status_known"),
            models.UniqueConstraint(
                fields=["idem_key"],
                condition=_LIVE,
                name="job_one_live_per_idem_key",
            ),
            models.CheckConstraint(
                condition=(_RUNNING & Q(lease_until__isnull=False))
                | (~_RUNNING & Q(lease_until__isnull=True)),
                name="job_lease_iff_running",
            ),
            models.CheckConstraint(
                condition=Q(progress_pct__lte=100), name="job_progress_is_a_percentage"
            ),
            models.CheckConstraint(condition=Q(queue__in=QUEUES), name="job_queue_known"),
            models.CheckConstraint(condition=~Q(idem_key=""), name="job_has_idem_key"),
            models.CheckConstraint(
                condition=(_LIVE & Q(finished_at__isnull=True))
                | (~_LIVE & Q(finished_at__isnull=False)),
                name="job_finished_at_iff_over",
            ),
            models.CheckConstraint(
                condition=Q(attempts__lte=F("max_attempts"), max_attempts__gt=0),
                name="job_attempts_within_limit",
            ),
            models.CheckConstraint(
                condition=~_RUNNING | (Q(attempts__gt=0, fence__gt=0) & ~Q(lease_owner="")),
                name="job_running_has_an_attempt",
            ),
        ]
        indexes = [
            models.Index(
                fields=["queue", "priority", "created_at"],
                condition=Q(status=JobStatus.QUEUED.value),
                name="job_claim_order",
            ),
            models.Index(fields=["lease_until"], condition=_RUNNING, name="job_running_leases"),
            models.Index(fields=["project", "created_at"], name="job_of_project"),
            models.Index(
                fields=["parent", "status"],
                condition=Q(parent__isnull=False),
                name="job_children_by_status",
            ),
        ]


class JobAttempt(Row):
    """One claim of a job and how it ended; `outcome` is empty while it runs.

    Written at the claim and closed once; database triggers refuse any other change.
    """

    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="attempt_rows")
    fence = models.PositiveBigIntegerField()
    worker = models.CharField(max_length=NAME_CHARACTERS)
    pid = models.PositiveIntegerField(default=0)
    started_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)
    outcome = models.CharField(max_length=16, default="", blank=True)
    error = models.TextField(default="", blank=True)

    class Meta:
        ordering = ["fence"]
        constraints = [
            models.UniqueConstraint(fields=["job", "fence"], name="attempt_once_per_fence"),
            models.UniqueConstraint(
                fields=["job"], condition=Q(ended_at__isnull=True), name="attempt_one_open_per_job"
            ),
            models.CheckConstraint(
                condition=Q(ended_at__isnull=True, outcome="")
                | Q(ended_at__isnull=False, outcome__in=[one.value for one in AttemptOutcome]),
                name="attempt_outcome_iff_ended",
            ),
        ]
