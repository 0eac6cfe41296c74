"""Model versions, the frozen data they were trained on, and what they measured."""

from __future__ import annotations

from django.db import models
from django.db.models import F, Q

from engine.domain.schedule import RoundSize
from engine.domain.states import ModelFamily, ModelVersionStatus
from engine.models.base import KEY_CHARACTERS, SHA256_CHARACTERS, Row, StatefulRow, one_of
from engine.models.project import Project
from engine.models.user import User

IN_WORK = (
    ModelVersionStatus.PENDING.value,
    ModelVersionStatus.TRAINING.value,
    ModelVersionStatus.TRAINED.value,
)
_WITHOUT_CHECKPOINT = [
    ModelVersionStatus.PENDING.value,
    ModelVersionStatus.TRAINING.value,
    ModelVersionStatus.FAILED.value,
]


class Snapshot(Row):
    """A frozen manifest of images and mask revisions. Immutable: no service changes it."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="snapshots")
    manifest_key = models.CharField(max_length=KEY_CHARACTERS)
    sha256 = models.CharField(max_length=SHA256_CHARACTERS)
    num_images = models.PositiveIntegerField()
    num_masks = models.PositiveIntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["project", "sha256"], name="snapshot_content_once"),
            models.CheckConstraint(
                condition=Q(num_images__gt=0, num_masks__gt=0), name="snapshot_not_empty"
            ),
        ]


class ModelVersion(StatefulRow):
    """One set of weights. `trainable`: how much of a SAM a round trains. `requested_by` is None
    when the schedule asked; `trigger` says in words why the round was asked for."""

    STATES = ModelVersionStatus
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="model_versions")
    family = models.CharField(max_length=16)
    number = models.PositiveIntegerField()
    arch = models.CharField(max_length=40, default="", blank=True)
    parent = models.ForeignKey("self", on_delete=models.PROTECT, null=True, related_name="children")
    snapshot = models.ForeignKey(
        Snapshot, on_delete=models.PROTECT, null=True, related_name="model_versions"
    )
    status = models.CharField(max_length=16, default=ModelVersionStatus.PENDING.value)
    checkpoint_key = models.CharField(max_length=KEY_CHARACTERS, default="", blank=True)
    checkpoint_sha256 = models.CharField(max_length=SHA256_CHARACTERS, default="", blank=True)
    encoder_sha256 = models.CharField(max_length=SHA256_CHARACTERS, default="", blank=True)
    thresholds = models.JSONField(default=dict)
    """What its own masks have to score, fitted on held-out images: see
    workers/inference/thresholds.py. Empty: nothing was fitted."""
    decoder_key = models.CharField(max_length=KEY_CHARACTERS, default="", blank=True)
    decoder_sha256 = models.CharField(max_length=SHA256_CHARACTERS, default="", blank=True)
    decoder_image_key = models.CharField(max_length=KEY_CHARACTERS, default="", blank=True)
    """The half of the decoder that runs once an image; empty where it was not cut in two."""
    decoder_prompt_key = models.CharField(max_length=KEY_CHARACTERS, default="", blank=True)
    """The half that runs for each prompt; empty until a browser first asks, for older versions."""
    config = models.JSONField(default=dict)
    trainable = models.CharField(max_length=8, default=RoundSize.DECODER.value)
    requested_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+")
    trigger = models.TextField(default="", blank=True)
    error = models.TextField(default="", blank=True)

    class Meta:
        ordering = ["number"]
        constraints = [
            one_of("family", ModelFamily, name="model_family_known"),
            one_of("status", ModelVersionStatus, name="model_status_known"),
            models.UniqueConstraint(
                fields=["project", "family", "number"], name="model_number_once"
            ),
            models.UniqueConstraint(
                fields=["project", "family"],
                condition=Q(status=ModelVersionStatus.SERVING.value),
                name="model_one_serving_per_family",
            ),
            one_of("trainable", RoundSize, name="model_trainable_known"),
            models.UniqueConstraint(
                fields=["project", "family"],
                condition=Q(status__in=IN_WORK),
                name="model_one_in_work_per_family",
            ),
            models.CheckConstraint(
                condition=Q(status__in=_WITHOUT_CHECKPOINT)
                | (~Q(checkpoint_key="") & ~Q(checkpoint_sha256="") & ~Q(encoder_sha256="")),
                name="model_trained_has_checkpoint",
            ),
            models.CheckConstraint(
                condition=Q(decoder_key="", decoder_sha256="")
                | (~Q(decoder_key="") & ~Q(decoder_sha256="")),
                name="model_decoder_has_its_sha256",
            ),
            models.CheckConstraint(
                condition=Q(decoder_image_key="", decoder_prompt_key="")
                | (~Q(decoder_key="") & ~Q(decoder_prompt_key="")),
                name="model_decoder_halves_of_a_decoder",
            ),
            models.CheckConstraint(condition=Q(number__gt=0), name="model_number_from_one"),
            models.CheckConstraint(
                condition=Q(parent__isnull=True) | ~Q(parent=F("id")),
                name="model_not_its_own_parent",
            ),
        ]


class TrainingCurve(Row):
    """How a training goes, while it goes: [{"step", "loss", ...}], thinned to a page's width."""

    model_version = models.OneToOneField(
        ModelVersion, on_delete=models.CASCADE, related_name="curve"
    )
    points = models.JSONField(default=list)


class Evaluation(Row):
    """What a version measured on the held-out split of a snapshot."""

    model_version = models.ForeignKey(
        ModelVersion, on_delete=models.CASCADE, related_name="evaluations"
    )
    snapshot = models.ForeignKey(Snapshot, on_delete=models.PROTECT, related_name="evaluations")
    metrics = models.JSONField(default=dict)

    class Meta:
        ordering = ["created_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["model_version", "snapshot"], name="evaluation_once_per_snapshot"
            )
        ]
