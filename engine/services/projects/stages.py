"""Move a project through its stages: drain the open one, close it, open the next."""

from __future__ import annotations

import logging

from django.db import transaction

from engine.domain.criteria import exit_blockers
from engine.domain.errors import Conflict, InvalidInput, NotReady
from engine.domain.limits import MAX_REASON_CHARACTERS
from engine.domain.policy import Policy
from engine.domain.roles import Permission
from engine.domain.stages import (
    MIN_MASKS_FOR_DETECTOR,
    STAGE_SPECS,
    Prefill,
    StageKind,
    default_policy,
    following,
    policy_of,
    policy_on_entry,
    preceding,
)
from engine.domain.states import AssignmentStatus, ModelFamily, StageStatus
from engine.models import EngineStage, Project, StateChange, User
from engine.selectors.criteria import evaluate_stage
from engine.selectors.masks import confirmed_masks
from engine.selectors.stages import stage_policy
from engine.services.clock import database_now
from engine.services.jobs import job_control, proposals
from engine.services.models import model_versions
from engine.services.people.roles import require
from engine.services.text import clean_line
from engine.services.transitions import move

logger = logging.getLogger(__name__)


def open_first(project: Project, *, kind: StageKind, actor: User) -> EngineStage:
    """Open the first stage of a new project."""
    return _open(project, kind=kind, ordinal=1, actor=actor, policy=default_policy(kind))


def lock_active(project: Project) -> EngineStage | None:
    """Return the open or draining stage, locked until the transaction ends."""
    active = project.stages.exclude(status=StageStatus.CLOSED.value)
    return active.select_for_update(no_key=True).first()


@transaction.atomic
def advance_stage(project: Project, *, actor: User, reason: str = "") -> EngineStage:
    """Leave for the next stage; return the new one, or the draining one while people still label.

    While it drains no new images are given out; the last one finished opens the next stage.
    A lead who leaves before the criteria are met must give a reason: InvalidInput says which.
    """
    require(actor, Permission.MOVE_STAGE, project)
    reason = clean_line(reason, what="the reason", max_characters=MAX_REASON_CHARACTERS)
    stage = _lock_open(project)
    to = following(StageKind(stage.kind))
    blockers = exit_blockers(evaluate_stage(stage).criteria)
    if blockers and not reason:
        raise InvalidInput(
            f"not yet: {'; '.join(blockers)}. Give a reason to advance all the same.",
            code="reason_needed",
            blockers=blockers,
        )
    return _leave(stage, to=to, actor=actor, reason=reason)


@transaction.atomic
def go_back(project: Project, *, actor: User, reason: str) -> EngineStage:
    """Return to the stage before, or call off leaving the present one while it drains."""
    require(actor, Permission.MOVE_STAGE, project)
    reason = clean_line(
        reason, what="the reason", max_characters=MAX_REASON_CHARACTERS, required=True
    )
    stage = lock_active(project)
    if stage is not None and stage.status == StageStatus.DRAINING:
        move(stage, StageStatus.OPEN, actor=actor, reason=reason, changes={"next_kind": ""})
        return stage
    stage = _lock_open(project)
    to = preceding(StageKind(stage.kind))
    return _leave(stage, to=to, actor=actor, reason=reason)


def advance_if_drained(stage: EngineStage) -> EngineStage:
    """Close a draining stage nobody labels in any more and open the next; else change nothing.

    What machines still had to do in the closed stage is cancelled in the same transaction. The
    caller holds the lock of `lock_active`.
    """
    if stage.status != StageStatus.DRAINING or _is_held(stage):
        return stage
    asked = (
        StateChange.objects.filter(subject_id=stage.pk, to_state=StageStatus.DRAINING.value)
        .select_related("actor")
        .latest("created_at")
    )
    actor = asked.actor or stage.opened_by
    move(stage, StageStatus.CLOSED, actor=actor, changes={"closed_at": database_now()})
    job_control.stop_those_of_stage(stage, actor=actor)
    kind = StageKind(stage.next_kind)
    return _open(
        stage.project,
        kind=kind,
        ordinal=stage.ordinal + 1,
        actor=actor,
        policy=policy_on_entry(
            kind, leaving=stage_policy(stage), last_visit=_last_policy(stage.project, kind=kind)
        ),
    )


def _leave(stage: EngineStage, *, to: StageKind, actor: User, reason: str) -> EngineStage:
    move(stage, StageStatus.DRAINING, actor=actor, reason=reason, changes={"next_kind": to.value})
    _release_own_images(stage, actor=actor)
    return advance_if_drained(stage)


def _release_own_images(stage: EngineStage, *, actor: User) -> None:
    """Let go of the image the lead has open: nobody labels and leaves the stage at once.

    Without it a lead who came from the labelling page would wait for their own lease to end.
    """
    for held in stage.assignments.filter(annotator=actor, status=AssignmentStatus.LEASED.value):
        changes = {"finished_at": database_now()}
        move(held, AssignmentStatus.RELEASED, actor=actor, reason="left the stage", changes=changes)


def _lock_open(project: Project) -> EngineStage:
    stage = lock_active(project)
    if stage is None:
        raise Conflict("this project has no open stage", code="no_stage")
    if stage.status == StageStatus.DRAINING:
        num_held = stage.assignments.filter(status=AssignmentStatus.LEASED.value).count()
        raise Conflict(
            f"the stage is ending already: {num_held} images are still being labelled",
            code="stage_draining",
        )
    return stage


def _is_held(stage: EngineStage) -> bool:
    return stage.assignments.filter(
        status=AssignmentStatus.LEASED.value, lease_expires_at__gte=database_now()
    ).exists()


def _last_policy(project: Project, *, kind: StageKind) -> Policy | None:
    last = project.stages.filter(kind=kind.value).order_by("-ordinal").first()
    return policy_of(kind, last.policy) if last else None


def _open(
    project: Project, *, kind: StageKind, ordinal: int, actor: User, policy: Policy
) -> EngineStage:
    stage = EngineStage.objects.create(
        project=project,
        kind=kind.value,
        ordinal=ordinal,
        policy=policy.to_json(),
        opened_at=database_now(),
        opened_by=actor,
    )
    if STAGE_SPECS[kind].prefill == Prefill.DETECTOR:
        _train_detector_if_worthwhile(project, actor=actor)
    proposals.request_for_project(project)
    return stage


def _train_detector_if_worthwhile(project: Project, *, actor: User) -> None:
    if confirmed_masks(project).count() < MIN_MASKS_FOR_DETECTOR:
        return
    try:
        with transaction.atomic():
            model_versions.request_retrain(
                project,
                family=ModelFamily.OBJECT_DETECTOR,
                actor=actor,
                trigger=f"the {STAGE_SPECS[StageKind.SEMI_AUTOMATIC].title.lower()} stage opened",
            )
    except (Conflict, InvalidInput, NotReady) as refusal:
        # The serving one prefills; the page says under the detector's schedule what is missing.
        logger.info("no detector is trained for %s: %s", project.slug, refusal.message)
