"""Ask for machine-made masks: prefilled ones in the second stage, automatic ones in the third."""

from __future__ import annotations

from engine.domain.jobs import JobKind
from engine.domain.stages import SPECS, Prefill, StageKind
from engine.domain.states import ImageStatus, ModelFamily, StageStatus
from engine.models import EngineStage, Image, ModelVersion, Project
from engine.selectors.models import serving_version
from engine.selectors.stages import active_stage
from engine.services import jobs


def request_for_image(image: Image) -> int:
    """Queue what the project's stage does with a new image; return how many jobs."""
    return _request(image.project, images=[image])


def request_for_project(project: Project) -> int:
    """Queue what the stage does with its images: after it opened, or when another model serves.

    The second stage prefills images still to be labelled; the third masks every image.
    """
    stage = active_stage(project)
    statuses = [ImageStatus.READY.value]
    if stage is not None and _prefill(stage) == Prefill.GRID:
        statuses.append(ImageStatus.DONE.value)
    return _request(project, images=list(project.images.filter(status__in=statuses)))


def _request(project: Project, *, images: list[Image]) -> int:
    stage = active_stage(project)
    sam = serving_version(project, family=ModelFamily.SAM)
    if stage is None or sam is None or stage.status != StageStatus.OPEN:
        return 0
    if _prefill(stage) == Prefill.GRID:
        return _enqueue(JobKind.AUTOMASK_IMAGE, stage=stage, images=images, models=[sam])
    detector = serving_version(project, family=ModelFamily.OBJECT_DETECTOR)
    # A detector reads the features of one encoder; after another took over it must be retrained.
    fits = detector is not None and detector.encoder_sha256 == sam.encoder_sha256
    if _prefill(stage) == Prefill.DETECTOR and detector is not None and fits:
        return _enqueue(JobKind.PRELABEL_IMAGE, stage=stage, images=images, models=[sam, detector])
    return 0


def _prefill(stage: EngineStage) -> Prefill:
    return SPECS[StageKind(stage.kind)].prefill


def _enqueue(
    kind: JobKind, *, stage: EngineStage, images: list[Image], models: list[ModelVersion]
) -> int:
    versions = ":".join(f"{model.family}{model.number}" for model in models)
    requests = [
        jobs.Request(
            args={"image": image.pk, "stage": stage.pk},
            idem_key=f"{kind}:{image.pk}:{stage.pk}:{versions}",
        )
        for image in images
    ]
    jobs.enqueue_many(kind, project=stage.project, requests=requests)
    return len(images)
