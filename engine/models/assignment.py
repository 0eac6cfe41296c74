"""One annotator on one image, for the time of a lease."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from engine.domain.states import AssignmentStatus
from engine.models.base import StatefulRow, one_of
from engine.models.image import Image
from engine.models.project import EngineStage
from engine.models.user import User

_LEASED = Q(status=AssignmentStatus.LEASED.value)


class Assignment(StatefulRow):
    """`num_left_out`: objects the annotator called too hard, so that the image is not complete."""

    STATES = AssignmentStatus
    image = models.ForeignKey(Image, on_delete=models.CASCADE, related_name="assignments")
    stage = models.ForeignKey(EngineStage, on_delete=models.PROTECT, related_name="assignments")
    annotator = models.ForeignKey(User, on_delete=models.PROTECT, related_name="assignments")
    status = models.CharField(max_length=16, default=AssignmentStatus.LEASED.value)
    leased_at = models.DateTimeField()
    lease_expires_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True)
    num_left_out = models.PositiveIntegerField(default=0)

    class Meta:
        constraints = [
            one_of("status", AssignmentStatus, name="assignment_status_known"),
            models.UniqueConstraint(
                fields=["image"], condition=_LEASED, name="assignment_one_lease_per_image"
            ),
            models.UniqueConstraint(
                fields=["annotator"], condition=_LEASED, name="assignment_one_lease_per_annotator"
            ),
            models.CheckConstraint(
                condition=(_LEASED & Q(finished_at__isnull=True))
                | (~_LEASED & Q(finished_at__isnull=False)),
                name="assignment_finished_at_iff_over",
            ),
        ]
        indexes = [models.Index(fields=["status", "lease_expires_at"], name="assignment_expiry")]
