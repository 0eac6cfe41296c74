"""Datasets that went out."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from engine.domain.states import ExportStatus
from engine.models.base import KEY_CHARACTERS, SHA256_CHARACTERS, StatefulRow, one_of
from engine.models.job import Job
from engine.models.project import Project

_READY = Q(status=ExportStatus.READY.value)


class Export(StatefulRow):
    """`format` is the name of an exporter; which there are is known to their registry alone."""

    STATES = ExportStatus
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="exports")
    format = models.CharField(max_length=16)
    status = models.CharField(max_length=16, default=ExportStatus.PENDING.value)
    job = models.ForeignKey(Job, on_delete=models.SET_NULL, null=True, related_name="+")
    storage_key = models.CharField(max_length=KEY_CHARACTERS, default="", blank=True)
    sha256 = models.CharField(max_length=SHA256_CHARACTERS, default="", blank=True)
    num_masks = models.PositiveIntegerField(default=0)

    class Meta:
        ordering = ["created_at"]
        constraints = [
            one_of("status", ExportStatus, name="export_status_known"),
            models.CheckConstraint(
                condition=(_READY & ~Q(storage_key="") & ~Q(sha256=""))
                | (~_READY & Q(storage_key="")),
                name="export_file_iff_ready",
            ),
        ]
