"""Every move of every status. Append-only; database triggers refuse to change or delete a row."""

from __future__ import annotations

from django.db import models

from engine.models.base import Row
from engine.models.user import User


class StateChange(Row):
    subject_type = models.CharField(max_length=24)
    subject_id = models.UUIDField()
    from_state = models.CharField(max_length=16)
    to_state = models.CharField(max_length=16)
    actor = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+")
    reason = models.TextField(default="", blank=True)

    class Meta:
        indexes = [
            models.Index(
                fields=["subject_type", "subject_id", "created_at"], name="state_change_of_subject"
            )
        ]
