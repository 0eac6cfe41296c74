"""Questions about stages."""

from __future__ import annotations

from engine.domain.policy import DEFAULT_POLICY, Policy
from engine.domain.stages import StageKind, policy_of
from engine.domain.states import StageStatus
from engine.models import EngineStage, Project


def active_stage(project: Project) -> EngineStage | None:
    """The stage that is open or draining; None only for a project without any."""
    return project.stages.exclude(status=StageStatus.CLOSED.value).first()


def stage_policy(stage: EngineStage) -> Policy:
    """The numbers of a stage, as its lead left them."""
    return policy_of(StageKind(stage.kind), stage.policy)


def active_policy(project: Project) -> Policy:
    """The numbers of the project's present stage."""
    stage = active_stage(project)
    return stage_policy(stage) if stage else DEFAULT_POLICY
