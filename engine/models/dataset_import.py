"""Datasets that came in: a folder or an archive, and the report of what was taken and refused."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from engine.domain.states import ImportStatus
from engine.models.base import KEY_CHARACTERS, NAME_CHARACTERS, StatefulRow, one_of
from engine.models.job import Job
from engine.models.project import Project
from engine.models.user import User

_DONE = Q(status=ImportStatus.DONE.value)


class DatasetImport(StatefulRow):
    """`archive_key` of an uploaded archive, or `folder`: a path on the machine that imports.

    `folder` comes from the command line only, never over HTTP. `report_key` holds the whole
    report; the counts are its totals.
    """

    STATES = ImportStatus
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="imports")
    requested_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    name = models.CharField(max_length=NAME_CHARACTERS)
    archive_key = models.CharField(max_length=KEY_CHARACTERS, default="", blank=True)
    folder = models.TextField(default="", blank=True)
    status = models.CharField(max_length=16, default=ImportStatus.PENDING.value)
    job = models.ForeignKey(Job, on_delete=models.SET_NULL, null=True, related_name="+")
    report_key = models.CharField(max_length=KEY_CHARACTERS, default="", blank=True)
    num_images = models.PositiveIntegerField(default=0)
    num_known_images = models.PositiveIntegerField(default=0)
    num_masks = models.PositiveIntegerField(default=0)
    num_known_masks = models.PositiveIntegerField(default=0)
    num_refused = models.PositiveIntegerField(default=0)

    class Meta:
        ordering = ["created_at"]
        constraints = [
            one_of("status", ImportStatus, name="import_status_known"),
            models.CheckConstraint(
                condition=(Q(archive_key="") & ~Q(folder="")) | (~Q(archive_key="") & Q(folder="")),
                name="import_has_one_place",
            ),
            models.CheckConstraint(
                condition=(_DONE & ~Q(report_key="")) | (~_DONE & Q(report_key="")),
                name="import_report_iff_done",
            ),
        ]
