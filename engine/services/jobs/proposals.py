"""Ask for machine-made masks: prefilled ones in the second stage, automatic ones in the third."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.db import transaction

from engine.domain.jobs import JobKind
from engine.domain.stages import STAGE_SPECS, Prefill, StageKind
from engine.domain.states import ImageStatus, ModelFamily, StageStatus
from engine.models import EngineStage, Image, ModelVersion, Project
from engine.selectors.models import serving_version
from engine.selectors.stages import active_stage
from engine.services.jobs import job_control, jobs

KINDS = (JobKind.PRELABEL_IMAGE.value, JobKind.AUTOMASK_IMAGE.value)


def request_for_image(image: Image) -> int:
    """Queue what the project's stage does with a new image; return how many jobs."""
    stage = _open_stage(image.project)
    return 0 if stage is None else _enqueue(_work_of(stage), images=[image])


@transaction.atomic
def request_for_project(project: Project) -> int:
    """Queue what the stage does with its images: after it opened, or when another model serves.

    The second stage prefills images still to be labelled; the third masks every image. What still
    waits from before another model took over is cancelled: it would run with that one too.
    """
    stage = _open_stage(project)
    if stage is None:
        return 0
    work = _work_of(stage)
    _cancel_outdated(stage, work=work)
    statuses = [ImageStatus.READY.value]
    if work is not None and work.kind == JobKind.AUTOMASK_IMAGE:
        statuses.append(ImageStatus.DONE.value)
    return _enqueue(work, images=list(project.images.filter(status__in=statuses)))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Work:
    """What a stage does with an image, by which models."""

    kind: JobKind
    stage: EngineStage
    models: Sequence[ModelVersion]

    @property
    def key_ending(self) -> str:
        """What the jobs' idempotency keys end with."""
        versions = ":".join(f"{model.family}{model.number}" for model in self.models)
        return f":{self.stage.pk}:{versions}"


def _open_stage(project: Project) -> EngineStage | None:
    stage = active_stage(project)
    return stage if stage is not None and stage.status == StageStatus.OPEN else None


def _work_of(stage: EngineStage) -> _Work | None:
    sam = serving_version(stage.project, family=ModelFamily.SAM)
    if sam is None:
        return None
    prefill = STAGE_SPECS[StageKind(stage.kind)].prefill
    if prefill == Prefill.GRID:
        return _Work(kind=JobKind.AUTOMASK_IMAGE, stage=stage, models=[sam])
    detector = serving_version(stage.project, family=ModelFamily.OBJECT_DETECTOR)
    # A detector reads the features of one encoder; after another took over it must be retrained.
    fits = detector is not None and detector.encoder_sha256 == sam.encoder_sha256
    if prefill == Prefill.DETECTOR and detector is not None and fits:
        return _Work(kind=JobKind.PRELABEL_IMAGE, stage=stage, models=[sam, detector])
    return None


def _cancel_outdated(stage: EngineStage, *, work: _Work | None) -> None:
    waiting = stage.project.jobs.filter(kind__in=KINDS, args__stage=str(stage.pk))
    if work is not None:
        waiting = waiting.exclude(idem_key__endswith=work.key_ending)
    job_control.cancel_queued(waiting, actor=None, reason="another model serves now")


def _enqueue(work: _Work | None, *, images: Sequence[Image]) -> int:
    if work is None or not images:
        return 0
    requests = [
        jobs.Request(
            args={"image": image.pk, "stage": work.stage.pk},
            idem_key=f"{work.kind}:{image.pk}{work.key_ending}",
        )
        for image in images
    ]
    jobs.enqueue_many(work.kind, project=work.stage.project, requests=requests)
    return len(images)
