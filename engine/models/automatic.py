"""Automatic masks as they come in bulk: narrow rows that nobody has looked at yet.

A Mask with its MaskRevision takes 1.2 kB and eleven indexes; a billion automatic masks that
nobody ever opens should not. They stay here until their image is opened or one of them is
reviewed; then services/packed_masks.py gives all of that image's masks their rows, under the same
ids. Database triggers refuse to change or delete a row.
"""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from engine.domain.states import AutomaticRunStatus
from engine.models.base import NAME_CHARACTERS, StatefulRow, one_of
from engine.models.image import Image
from engine.models.model_version import ModelVersion
from engine.models.project import EngineStage


class AutomaticRun(StatefulRow):
    """What one run of a model over one image found; `idem_key` lets it be stored once."""

    STATES = AutomaticRunStatus
    image = models.ForeignKey(Image, on_delete=models.CASCADE, related_name="automatic_runs")
    stage = models.ForeignKey(EngineStage, on_delete=models.PROTECT, related_name="automatic_runs")
    model_version = models.ForeignKey(ModelVersion, on_delete=models.PROTECT, related_name="+")
    idem_key = models.CharField(max_length=NAME_CHARACTERS, unique=True)
    status = models.CharField(max_length=16, default=AutomaticRunStatus.KEPT.value)
    num_masks = models.PositiveIntegerField()

    class Meta:
        constraints = [
            one_of("status", AutomaticRunStatus, name="automatic_run_status_known"),
            models.UniqueConstraint(
                fields=["image"],
                condition=Q(status=AutomaticRunStatus.KEPT.value),
                name="automatic_run_one_kept_per_image",
            ),
        ]


class AutomaticMask(models.Model):
    """One mask of a run. `place`: its index among the run's proposals, best first.

    (x_px, y_px): the grid point that prompted it. The columns' order keeps the row free of
    padding. The id is the one that the mask keeps for good.
    """

    predicted_iou = models.FloatField()
    stability_score = models.FloatField(null=True)
    x_px = models.FloatField()
    y_px = models.FloatField()
    id = models.UUIDField(primary_key=True, editable=False)
    run = models.ForeignKey(AutomaticRun, on_delete=models.CASCADE, related_name="masks")
    place = models.PositiveIntegerField()
    rle_counts = models.TextField()

    class Meta:
        ordering = ["place"]
        constraints = [
            models.CheckConstraint(condition=~Q(rle_counts=""), name="automatic_mask_has_a_shape")
        ]
