"""Questions about model versions."""

from __future__ import annotations

from django.db.models import QuerySet

from engine.domain.states import ModelFamily, ModelVersionStatus
from engine.models import ModelVersion, Project


def for_project(project: Project) -> QuerySet[ModelVersion]:
    """All versions, newest first, with their evaluations."""
    return project.model_versions.prefetch_related("evaluations").order_by("family", "-number")


def serving_version(project: Project, *, family: ModelFamily) -> ModelVersion | None:
    """The version of a family that serves, if any."""
    return project.model_versions.filter(
        family=family.value, status=ModelVersionStatus.SERVING.value
    ).first()


def previous_version(project: Project, *, family: ModelFamily) -> ModelVersion | None:
    """What a roll back would let serve: the newest retired version older than the serving one."""
    serving = serving_version(project, family=family)
    retired = project.model_versions.filter(
        family=family.value, status=ModelVersionStatus.RETIRED.value
    )
    if serving is not None:
        retired = retired.filter(number__lt=serving.number)
    return retired.order_by("-number").first()


def detector_beside(sam: ModelVersion) -> ModelVersion | None:
    """The detector that serves beside this SAM, or would: the serving one if it reads the SAM's
    encoder, else the last that did, or that came with such a SAM and waits for it."""
    family = ModelFamily.OBJECT_DETECTOR
    serving = serving_version(sam.project, family=family)
    if serving is not None and serving.encoder_sha256 == sam.encoder_sha256:
        return serving
    return sam.project.model_versions.filter(
        family=family.value,
        status__in=[ModelVersionStatus.RETIRED.value, ModelVersionStatus.EVALUATED.value],
        encoder_sha256=sam.encoder_sha256,
    ).last()


def missing_parts(project: Project) -> list[str]:
    """Say in sentences what keeps people from labelling with a model."""
    sam = serving_version(project, family=ModelFamily.SAM)
    if sam is None:
        return [
            "No segmentation model serves this project: the starter model's files are missing. "
            "Put starter.safetensors into the starter folder (SEGLOOP_STARTER_DIR), then run "
            "manage.py create_demo or create a new project."
        ]
    if not sam.decoder_key:
        return ["The model is being prepared for the browser: a few seconds once a runner runs."]
    return []
