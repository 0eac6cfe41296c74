"""A project, and its way through the three stages of the data engine."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from engine.domain.stages import StageKind
from engine.domain.states import StageStatus
from engine.models.base import NAME_CHARACTERS, Row, StatefulRow, one_of
from engine.models.user import User


class Project(Row):
    name = models.CharField(max_length=NAME_CHARACTERS)
    slug = models.SlugField(max_length=80, unique=True)
    created_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    instructions = models.TextField(default="", blank=True)
    """What annotators are asked to do, plain text; empty: the page shows its own."""

    class Meta:
        ordering = ["created_at"]


class EngineStage(StatefulRow):
    """One stage visit of a project; going back opens a new row."""

    STATES = StageStatus
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="stages")
    kind = models.CharField(max_length=24)
    ordinal = models.PositiveIntegerField()
    status = models.CharField(max_length=16, default=StageStatus.OPEN.value)
    policy = models.JSONField(default=dict)
    next_kind = models.CharField(max_length=24, default="", blank=True)
    opened_at = models.DateTimeField()
    closed_at = models.DateTimeField(null=True)
    opened_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")

    class Meta:
        ordering = ["ordinal"]
        constraints = [
            one_of("kind", StageKind, name="stage_kind_known"),
            one_of("status", StageStatus, name="stage_status_known"),
            models.UniqueConstraint(fields=["project", "ordinal"], name="stage_ordinal_once"),
            models.UniqueConstraint(
                fields=["project"],
                condition=Q(status__in=[StageStatus.OPEN.value, StageStatus.DRAINING.value]),
                name="stage_one_active_per_project",
            ),
            models.CheckConstraint(
                condition=Q(status=StageStatus.CLOSED.value, closed_at__isnull=False)
                | (~Q(status=StageStatus.CLOSED.value) & Q(closed_at__isnull=True)),
                name="stage_closed_at_iff_closed",
            ),
            models.CheckConstraint(
                condition=~Q(status=StageStatus.DRAINING.value) | ~Q(next_kind=""),
                name="stage_draining_knows_the_next",
            ),
            models.CheckConstraint(
                condition=Q(next_kind="") | Q(next_kind__in=[kind.value for kind in StageKind]),
                name="stage_next_kind_known",
            ),
            models.CheckConstraint(condition=Q(ordinal__gt=0), name="stage_ordinal_from_one"),
        ]
