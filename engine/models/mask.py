"""Masks and their append-only revisions. Database triggers refuse to change or delete one."""

from __future__ import annotations

from django.db import models
from django.db.models import F, Q

from engine.domain.limits import MAX_LABEL_CHARACTERS
from engine.domain.states import MaskSource, MaskStatus, RevisionKind
from engine.models.assignment import Assignment
from engine.models.base import SHA256_CHARACTERS, Row, StatefulRow, one_of
from engine.models.image import Image
from engine.models.model_version import ModelVersion
from engine.models.project import EngineStage
from engine.models.user import User

_BY_NOBODY = Q(kind__in=[RevisionKind.PROPOSAL.value, RevisionKind.IMPORT.value])


class Mask(StatefulRow):
    """An object of an image. Its shape is its head revision; only status and head ever move.

    `reviewed_by`: who accepted or rejected it by hand; together with a human head revision this
    tells confirmed masks from a machine's untouched ones.
    """

    STATES = MaskStatus
    image = models.ForeignKey(Image, on_delete=models.CASCADE, related_name="masks")
    stage = models.ForeignKey(EngineStage, on_delete=models.PROTECT, related_name="masks")
    source = models.CharField(max_length=16)
    status = models.CharField(max_length=16)
    head = models.ForeignKey(
        "MaskRevision", on_delete=models.PROTECT, related_name="+", db_index=False
    )
    label = models.CharField(max_length=MAX_LABEL_CHARACTERS, default="", blank=True)
    order = models.PositiveIntegerField(default=0)
    reviewed_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+")

    class Meta:
        ordering = ["order", "id"]
        constraints = [
            one_of("source", MaskSource, name="mask_source_known"),
            one_of("status", MaskStatus, name="mask_status_known"),
            models.UniqueConstraint(fields=["head"], name="mask_head_once"),
        ]


class MaskRevision(Row):
    """One shape of a mask: exact pixels, who or what made them, and how.

    `origin` belongs to imported shapes: {"file", "annotation_id", "category", "iscrowd"} of the
    dataset, as it named them. They have no author here, and nobody's time is counted for them.
    """

    mask = models.ForeignKey(Mask, on_delete=models.CASCADE, related_name="revisions")
    parent = models.ForeignKey("self", on_delete=models.PROTECT, null=True, related_name="+")
    kind = models.CharField(max_length=16)
    rle_counts = models.TextField()
    rle_sha256 = models.CharField(max_length=SHA256_CHARACTERS)
    area_px = models.PositiveIntegerField()
    bbox_x_px = models.PositiveIntegerField()
    bbox_y_px = models.PositiveIntegerField()
    bbox_w_px = models.PositiveIntegerField()
    bbox_h_px = models.PositiveIntegerField()
    predicted_iou = models.FloatField(null=True)
    stability_score = models.FloatField(null=True)
    prompts = models.JSONField(default=list)
    author = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+")
    model_version = models.ForeignKey(
        ModelVersion, on_delete=models.PROTECT, null=True, related_name="mask_revisions"
    )
    assignment = models.ForeignKey(
        Assignment, on_delete=models.PROTECT, null=True, related_name="mask_revisions"
    )
    annotate_ms = models.PositiveIntegerField(null=True)
    origin = models.JSONField(null=True)

    class Meta:
        constraints = [
            one_of("kind", RevisionKind, name="revision_kind_known"),
            models.CheckConstraint(condition=Q(area_px__gt=0), name="revision_not_empty"),
            models.CheckConstraint(
                condition=Q(bbox_w_px__gt=0, bbox_h_px__gt=0), name="revision_box_not_empty"
            ),
            models.CheckConstraint(
                condition=(_BY_NOBODY & Q(author__isnull=True))
                | (~_BY_NOBODY & Q(author__isnull=False)),
                name="revision_author_iff_human",
            ),
            models.CheckConstraint(
                condition=~Q(kind=RevisionKind.PROPOSAL.value) | Q(model_version__isnull=False),
                name="revision_proposal_names_its_model",
            ),
            models.CheckConstraint(
                condition=~Q(kind=RevisionKind.IMPORT.value) | Q(origin__isnull=False),
                name="revision_import_names_its_origin",
            ),
            models.CheckConstraint(
                condition=Q(area_px__lte=F("bbox_w_px") * F("bbox_h_px")),
                name="revision_area_fits_its_box",
            ),
            models.CheckConstraint(
                condition=~Q(kind=RevisionKind.CREATE.value) | Q(parent__isnull=True),
                name="revision_first_has_no_parent",
            ),
        ]

    @property
    def bbox_xywh_px(self) -> tuple[int, int, int, int]:
        return (self.bbox_x_px, self.bbox_y_px, self.bbox_w_px, self.bbox_h_px)
