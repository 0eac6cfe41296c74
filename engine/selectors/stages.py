"""Questions about stages."""

from __future__ import annotations

from engine.domain.stages import StageReadiness
from engine.domain.states import ModelFamily, StageStatus
from engine.models import EngineStage, ModelVersion, Project, StateChange
from engine.selectors.masks import confirmed_masks


def active_stage(project: Project) -> EngineStage | None:
    """The stage that is open or draining; None only for a project without any."""
    return project.stages.exclude(status=StageStatus.CLOSED.value).first()


def readiness(project: Project) -> StageReadiness:
    """What the project has towards leaving its stage. Three queries."""
    confirmed = confirmed_masks(project)
    return StageReadiness(
        num_confirmed_masks=confirmed.count(),
        num_labelled_images=confirmed.values("image").distinct().count(),
        num_promoted_retrains=_num_promoted_retrains(project),
    )


def _num_promoted_retrains(project: Project) -> int:
    """Count trained (not shipped) SAM versions that serve or once served, in the active stage."""
    stage = active_stage(project)
    if stage is None:
        return 0
    trained = ModelVersion.objects.filter(
        project=project, family=ModelFamily.SAM.value, snapshot__isnull=False
    )
    return StateChange.objects.filter(
        subject_type="modelversion",
        subject_id__in=trained.values("pk"),
        to_state="serving",
        created_at__gte=stage.opened_at,
    ).count()
