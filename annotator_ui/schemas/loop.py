"""Shapes of the loop: how a stage stands, what is trained next, what a version measured."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from ninja import Schema
from pydantic import Field

from annotator_ui.schemas.inputs import Reason, StrictIn
from engine.domain.criteria import StageAction, Verdict
from engine.domain.schedule import PlanState, RoundSize
from engine.domain.stages import StageKind
from engine.domain.states import ModelFamily, ModelVersionStatus, StageStatus

Number = Annotated[float, Field(allow_inf_nan=False)]


class CriterionOut(Schema):
    """A target and its figure. `current` is None and the verdict `not_enough_data` while it cannot
    be known; `missing` says in a sentence what is not there; `is_at_most`: lower is better."""

    key: str
    title: str
    current: float | None
    target: float
    verdict: Verdict
    missing: str
    is_at_most: bool
    is_share: bool


class RecommendationOut(Schema):
    action: StageAction
    reasons: list[str]


class PlanOut(Schema):
    """When the next scheduled round is; `message` is one sentence."""

    family: ModelFamily
    state: PlanState
    message: str
    at_masks: int | None
    at: datetime | None
    roll_back_to: int | None


class StarterOfferOut(Schema):
    """What taking the shipped starter would do. `replaces`: the number of the SAM that serves now;
    `loses_training`: that one was retrained here; `encode_s`: about how long its images take a
    worker; `waits_for`: says which version has to be finished first, or nothing."""

    replaces: int | None
    loses_training: bool
    num_to_encode: int
    encode_s: float | None
    is_measured_first: bool
    waits_for: str


class LoopOut(Schema):
    """The present stage against its targets. `policy`: every number of the stage by name;
    `starter_offer` is None while the project has the shipped starter, or none ships."""

    stage: StageKind
    status: StageStatus
    criteria: list[CriterionOut]
    recommendation: RecommendationOut
    plans: list[PlanOut]
    policy: dict[str, float]
    starter_offer: StarterOfferOut | None


class PolicyIn(StrictIn):
    """Numbers to set, by name; the others stay."""

    changes: Annotated[dict[str, Number], Field(min_length=1, max_length=100)]
    reason: Reason = ""


class PolicyOut(Schema):
    policy: dict[str, float]


class RollBackIn(StrictIn):
    family: Literal["sam", "object_detector"]
    reason: Reason = ""


class FittedOut(Schema):
    """What a mask has to score, and what that kept of a held-out set of `num_truths` objects."""

    predicted_iou: float
    stability_score: float
    precision: float
    recall: float
    num_truths: int


class FittedThresholdsOut(Schema):
    """Fitted on held-out images. `prefill`: by the id of the other model, SAM or detector."""

    automatic: FittedOut | None = None
    prefill: dict[str, FittedOut] = {}


class MeasuredVersionOut(Schema):
    """A model version, what it measured on the held-out split, and what speaks against it.

    `metrics` holds the plain figures; `<kind>_ci95` in `intervals` are (low, high). `trained_on`
    counts the masks of its snapshot, None for a shipped one. `requested_by` is None when the
    schedule asked.
    """

    id: UUID
    family: ModelFamily
    number: int
    arch: str
    status: ModelVersionStatus
    trainable: RoundSize
    trigger: str
    requested_by: str | None
    trained_on: int | None
    error: str
    blockers: list[str]
    metrics: dict[str, float]
    intervals: dict[str, list[float]]
    thresholds: FittedThresholdsOut
    created_at: datetime


class CurvePointOut(Schema):
    step: int
    loss: float | None = None
    first_iou: float | None = None
    last_iou: float | None = None


class CurveOut(Schema):
    """A training's figures so far, at most a few hundred points; they grow while it runs."""

    status: ModelVersionStatus
    points: list[CurvePointOut]
