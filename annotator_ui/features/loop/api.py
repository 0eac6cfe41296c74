"""The loop, for leads: evaluate and move the stage, its policy, versions with figures."""

from __future__ import annotations

import math
from uuid import UUID

from django.http import HttpRequest
from ninja import Router

from annotator_ui import present, schemas
from annotator_ui.http.answers import answers
from annotator_ui.http.lookups import project_by_slug, version_by_id
from annotator_ui.http.permissions import actor_of
from engine.domain.errors import NotReady
from engine.domain.roles import Permission
from engine.domain.schedule import RoundSize
from engine.domain.stages import StageKind
from engine.domain.states import ModelFamily, ModelVersionStatus, StageStatus
from engine.models import ModelVersion, Project
from engine.selectors.criteria import evaluate_stage
from engine.selectors.models import for_project, previous_version
from engine.selectors.retraining import plan_for
from engine.selectors.stages import active_stage, stage_policy
from engine.selectors.starter import offer_for
from engine.services.models import model_versions
from engine.services.projects import policies, stages

router = Router(tags=["loop"])


@router.get("/projects/{slug:slug}/loop", response=answers(schemas.LoopOut, 404, 409))
def loop(request: HttpRequest, slug: str) -> schemas.LoopOut:
    """Live criteria of the present stage, a recommendation, and when models are trained next."""
    project = project_by_slug(actor_of(request), slug, to=Permission.SEE_JOBS)
    stage = active_stage(project)
    if stage is None:
        raise NotReady("this project has no open stage", code="no_stage")
    found = evaluate_stage(stage)
    return schemas.LoopOut(
        stage=StageKind(stage.kind),
        status=StageStatus(stage.status),
        criteria=[schemas.CriterionOut.model_validate(one) for one in found.criteria],
        recommendation=schemas.RecommendationOut(
            action=found.recommendation.action, reasons=list(found.recommendation.reasons)
        ),
        plans=[_plan_out(project, family) for family in ModelFamily],
        policy=stage_policy(stage).to_json(),
        starter_offer=_starter_offer_out(project),
    )


@router.patch(
    "/projects/{slug:slug}/policy", response=answers(schemas.PolicyOut, 404, 409, 413, 422)
)
def policy(request: HttpRequest, slug: str, body: schemas.PolicyIn) -> schemas.PolicyOut:
    """Set numbers of the present stage; all of them or, when one is out of its bounds, none."""
    actor = actor_of(request)
    project = project_by_slug(actor, slug, to=Permission.CHANGE_POLICY)
    changed = policies.change_policy(
        project, changes=body.changes, actor=actor.user, reason=body.reason
    )
    return schemas.PolicyOut(policy=changed.to_json())


@router.post(
    "/projects/{slug:slug}/roll-back", response=answers(schemas.VersionOut, 404, 409, 413, 422)
)
def roll_back(request: HttpRequest, slug: str, body: schemas.RollBackIn) -> schemas.VersionOut:
    """Let the version serve again that served before; open labelling sessions go on."""
    actor = actor_of(request)
    project = project_by_slug(actor, slug, to=Permission.PROMOTE)
    version = model_versions.roll_back(
        project, family=body.family, actor=actor.user, reason=body.reason
    )
    return present.version_out(version)


@router.get(
    "/projects/{slug:slug}/model-versions", response=answers(list[schemas.MeasuredVersionOut], 404)
)
def versions(request: HttpRequest, slug: str) -> list[schemas.MeasuredVersionOut]:
    """List every version, newest first in each family, with figures and what speaks against it."""
    project = project_by_slug(actor_of(request), slug, to=Permission.SEE_JOBS)
    found = for_project(project).select_related("snapshot", "requested_by")
    return [_version_out(version) for version in found]


@router.get("/model-versions/{uuid:version_id}/curve", response=answers(schemas.CurveOut, 404))
def curve(request: HttpRequest, version_id: UUID) -> schemas.CurveOut:
    """Tell how a training goes, or went."""
    version = version_by_id(actor_of(request), version_id, to=Permission.SEE_JOBS)
    points = [schemas.CurvePointOut.model_validate(one) for one in model_versions.curve_of(version)]
    return schemas.CurveOut(status=ModelVersionStatus(version.status), points=points)


@router.post(
    "/projects/{slug:slug}/advance", response=answers(schemas.StageOut, 404, 409, 413, 422)
)
def advance(request: HttpRequest, slug: str, body: schemas.ReasonIn) -> schemas.StageOut:
    """Leave for the next stage; before its criteria are met only with a reason."""
    actor = actor_of(request)
    found = project_by_slug(actor, slug, to=Permission.MOVE_STAGE)
    stage = stages.advance_stage(found, actor=actor.user, reason=body.reason)
    return present.stage_out(stage.project)


@router.post("/projects/{slug:slug}/back", response=answers(schemas.StageOut, 404, 409, 413, 422))
def back(request: HttpRequest, slug: str, body: schemas.ReasonIn) -> schemas.StageOut:
    """Return to the stage before, or call off leaving the present one."""
    actor = actor_of(request)
    found = project_by_slug(actor, slug, to=Permission.MOVE_STAGE)
    stages.go_back(found, actor=actor.user, reason=body.reason)
    return present.stage_out(found)


def _plan_out(project: Project, family: ModelFamily) -> schemas.PlanOut:
    plan = plan_for(project, family=family)
    earlier = previous_version(project, family=family)
    return schemas.PlanOut(
        family=family,
        state=plan.state,
        message=plan.message,
        at_masks=plan.at_masks,
        at=plan.at,
        roll_back_to=earlier.number if earlier else None,
    )


def _starter_offer_out(project: Project) -> schemas.StarterOfferOut | None:
    offer = offer_for(project)
    if offer is None:
        return None
    return schemas.StarterOfferOut(
        replaces=offer.serving.number if offer.serving else None,
        loses_training=offer.loses_training,
        num_to_encode=offer.num_to_encode,
        encode_s=offer.encode_s,
        is_measured_first=offer.is_measured_first,
        waits_for=offer.in_work,
    )


def _version_out(version: ModelVersion) -> schemas.MeasuredVersionOut:
    newest = max(version.evaluations.all(), key=lambda one: one.created_at, default=None)
    metrics = newest.metrics if newest else {}
    reviewed = version.status in (ModelVersionStatus.EVALUATED, ModelVersionStatus.REJECTED)
    return schemas.MeasuredVersionOut(
        id=version.pk,
        family=ModelFamily(version.family),
        number=version.number,
        arch=version.arch,
        status=ModelVersionStatus(version.status),
        trainable=RoundSize(version.trainable),
        trigger=version.trigger,
        requested_by=version.requested_by.username if version.requested_by else None,
        trained_on=version.snapshot.num_masks if version.snapshot else None,
        error=version.error,
        blockers=model_versions.promotion_blockers(version) if reviewed else [],
        metrics={name: float(value) for name, value in metrics.items() if _is_number(value)},
        intervals={
            name: [float(one) for one in value]
            for name, value in metrics.items()
            if name.endswith("_ci95") and isinstance(value, list) and all(map(_is_number, value))
        },
        thresholds=schemas.FittedThresholdsOut.model_validate(version.thresholds),
        created_at=version.created_at,
    )


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
