"""When each model family is trained next: facts from the tables, the rule from domain/schedule."""

from __future__ import annotations

from django.db.models import Count
from django.utils import timezone

from engine.domain.schedule import Facts, PlanState, RetrainingPlan, data_obstacle, plan
from engine.domain.stages import MIN_MASKS_FOR_DETECTOR, STAGE_SPECS, Prefill, StageKind
from engine.domain.states import ModelFamily, ModelVersionStatus, Split, StageStatus
from engine.models import EngineStage, ModelVersion, Project, StateChange
from engine.models.model_version import IN_WORK
from engine.selectors.masks import confirmed_masks
from engine.selectors.models import serving_version
from engine.selectors.stages import active_stage, stage_policy

NO_DETECTOR_HERE = "no detector is needed in this stage: trained by the button alone"


def plan_for(project: Project, *, family: ModelFamily) -> RetrainingPlan:
    """Say when the family's next scheduled round is, in one sentence, and whether it is due."""
    stage = active_stage(project)
    if stage is None or stage.status != StageStatus.OPEN:
        return RetrainingPlan(
            state=PlanState.OFF, message="the stage is ending: its successor has its own plan"
        )
    if family == ModelFamily.OBJECT_DETECTOR and not _prefills(stage):
        running = in_work(project, family=family)
        state = PlanState.RUNNING if running else PlanState.OFF
        return RetrainingPlan(state=state, message=running or NO_DETECTOR_HERE)
    return plan(facts_of(project, family=family), policy=stage_policy(stage))


def facts_of(project: Project, *, family: ModelFamily) -> Facts:
    """Count what the schedule decides by. About six queries."""
    num_masks, images_on = trainable(project)
    last = (
        project.model_versions.filter(family=family.value, snapshot__isnull=False)
        .select_related("snapshot")
        .order_by("-number")
        .first()
    )
    sam = serving_version(project, family=ModelFamily.SAM)
    return Facts(
        num_masks=num_masks,
        last_num_masks=last.snapshot.num_masks if last and last.snapshot else None,
        last_asked_at=last.created_at if last else None,
        now=timezone.now(),
        in_work=in_work(project, family=family),
        obstacle=_obstacle(
            project, family=family, sam=sam, num_masks=num_masks, images_on=images_on
        ),
        outdated=_outdated(project, sam=sam) if family == ModelFamily.OBJECT_DETECTOR else "",
    )


def trainable(project: Project) -> tuple[int, dict[str, int]]:
    """Count confirmed masks on images with a split, and such images by split."""
    masks = confirmed_masks(project).exclude(image__split=Split.UNDECIDED.value)
    images = masks.order_by().values_list("image__split").annotate(n=Count("image", distinct=True))
    return masks.count(), dict(images)


def can_be_measured(project: Project) -> bool:
    """Tell whether labelled images in both splits make a snapshot to measure a model on."""
    return data_obstacle(trainable(project)[1]) is None


def in_work(project: Project, *, family: ModelFamily) -> str:
    """Say which version of the family is in the making; empty when none is."""
    version = project.model_versions.filter(family=family.value, status__in=IN_WORK).first()
    if version is None:
        return ""
    doing = "being measured" if version.status == ModelVersionStatus.TRAINED else version.status
    return f"version {version.number} is {doing}"


def _prefills(stage: EngineStage) -> bool:
    return STAGE_SPECS[StageKind(stage.kind)].prefill == Prefill.DETECTOR


def _obstacle(
    project: Project,
    *,
    family: ModelFamily,
    sam: ModelVersion | None,
    num_masks: int,
    images_on: dict[str, int],
) -> str:
    if sam is None:
        return "no segmentation model serves this project yet"
    missing = data_obstacle(images_on)
    if missing is not None:
        return missing.message
    if family == ModelFamily.OBJECT_DETECTOR:
        if num_masks < MIN_MASKS_FOR_DETECTOR:
            return f"a detector learns from {MIN_MASKS_FOR_DETECTOR} masks or more"
        if running := in_work(project, family=ModelFamily.SAM):
            return f"the segmentation model comes first: {running}"
    return ""


def _outdated(project: Project, *, sam: ModelVersion | None) -> str:
    """Say that no serving detector reads the serving encoder, unless one was asked for since."""
    detector = serving_version(project, family=ModelFamily.OBJECT_DETECTOR)
    if sam is None or (detector is not None and detector.encoder_sha256 == sam.encoder_sha256):
        return ""
    since = (
        StateChange.objects.filter(
            subject_id=sam.pk, to_state=ModelVersionStatus.SERVING.value
        ).order_by("-created_at")
    ).first()
    asked = project.model_versions.filter(
        family=ModelFamily.OBJECT_DETECTOR.value, snapshot__isnull=False
    )
    if since is not None:
        asked = asked.filter(created_at__gte=since.created_at)
    if asked.exists():
        return ""
    return "no detector reads the features of the serving model's encoder"
