"""When a model is trained next, by itself, and how much of it. Pure rules on counted facts."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from engine.domain.errors import InvalidInput
from engine.domain.policy import Policy
from engine.domain.states import Split


class RoundSize(StrEnum):
    """What of a SAM is trained in a round; values as in training/loop/config.py."""

    DECODER = "decoder"
    LOW_RANK = "lora"
    FULL = "all"


class PlanState(StrEnum):
    OFF = "off"
    WAITING = "waiting"  # for masks or for the hour
    BLOCKED = "blocked"  # it is time, but something is missing
    DUE = "due"
    RUNNING = "running"


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What a family's schedule is decided by.

    num_masks: confirmed masks on images with a split. last_num_masks, last_asked_at: of the last
    round asked for, however it ended, so that a failed one is not repeated on the same masks.
    in_work: which version is in the making; empty when none is.
    obstacle: why a training could not start now; empty when it could.
    outdated: why the serving version cannot be used any more; empty when it can.
    """

    num_masks: int
    last_num_masks: int | None
    last_asked_at: datetime | None
    now: datetime
    in_work: str = ""
    obstacle: str = ""
    outdated: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetrainingPlan:
    """`message` is one sentence for a lead. `at_masks`, `at`: when the next round is due."""

    state: PlanState
    message: str
    at_masks: int | None = None
    at: datetime | None = None


def round_size(num_masks: int, *, policy: Policy) -> RoundSize:
    """Return how much of the model a round on so many masks trains."""
    if 0 < policy.full_min_masks <= num_masks:
        return RoundSize.FULL
    if 0 < policy.low_rank_min_masks <= num_masks:
        return RoundSize.LOW_RANK
    return RoundSize.DECODER


def data_obstacle(images_on: Mapping[str, int]) -> InvalidInput | None:
    """Say what to label before anything can be trained and measured; None when both splits are
    there. images_on: images with a confirmed mask, by split."""
    if not any(images_on.values()):
        return InvalidInput(
            "nothing is labelled yet: label at least one object on each of two images",
            code="nothing_labelled",
        )
    for split, purpose in ((Split.TRAIN, "to learn from"), (Split.HOLDOUT, "to be measured on")):
        if not images_on.get(split):
            return InvalidInput(
                f"no labelled image is left {purpose}: label at least one object on a second image",
                code="split_empty",
            )
    return None


def is_on(policy: Policy) -> bool:
    """Tell whether any rule of the schedule is switched on."""
    return bool(policy.retrain_every_masks or policy.retrain_growth or policy.retrain_every_hours)


def plan(facts: Facts, *, policy: Policy) -> RetrainingPlan:
    """Say when the next round is due, and whether it could start."""
    if facts.in_work:
        return RetrainingPlan(state=PlanState.RUNNING, message=facts.in_work)
    if facts.outdated:
        return _due(facts, trigger=facts.outdated)
    if not is_on(policy):
        return RetrainingPlan(
            state=PlanState.OFF, message="no schedule: retrained by the button alone"
        )
    if facts.last_num_masks is None or facts.last_asked_at is None:
        return _first(facts, policy=policy)
    at_masks = _next_masks(facts.last_num_masks, policy=policy)
    at = _next_hour(facts.last_asked_at, policy=policy)
    if at_masks is not None and facts.num_masks >= at_masks:
        return _due(facts, trigger=f"{facts.num_masks} confirmed masks, due at {at_masks}")
    num_new = max(0, facts.num_masks - facts.last_num_masks)
    if at is not None and facts.now >= at:
        if num_new:
            return _due(facts, trigger=f"{policy.retrain_every_hours:g} hours, {num_new} new masks")
        return RetrainingPlan(
            state=PlanState.WAITING, message="it is time, but no mask is new", at=at
        )
    conditions = []
    if at_masks is not None:
        conditions.append(f"at {at_masks} confirmed masks ({at_masks - facts.num_masks} to go)")
    if at is not None:
        conditions.append(f"at {at:%Y-%m-%d %H:%M} UTC if masks are new")
    message = f"next {' or '.join(conditions)}"
    return RetrainingPlan(state=PlanState.WAITING, message=message, at_masks=at_masks, at=at)


def _first(facts: Facts, *, policy: Policy) -> RetrainingPlan:
    first = policy.retrain_first_masks
    if facts.num_masks >= first:
        return _due(
            facts, trigger=f"{facts.num_masks} confirmed masks, the first {first} are there"
        )
    to_go = first - facts.num_masks
    message = f"first at {first} confirmed masks ({to_go} to go)"
    return RetrainingPlan(state=PlanState.WAITING, message=message, at_masks=first)


def _next_masks(last: int, *, policy: Policy) -> int | None:
    marks = []
    if policy.retrain_every_masks:
        marks.append(last + int(policy.retrain_every_masks))
    if policy.retrain_growth:
        marks.append(max(last + 1, math.ceil(last * policy.retrain_growth)))
    return max(min(marks), int(policy.retrain_first_masks)) if marks else None


def _next_hour(last_asked_at: datetime, *, policy: Policy) -> datetime | None:
    if not policy.retrain_every_hours:
        return None
    return last_asked_at + timedelta(hours=policy.retrain_every_hours)


def _due(facts: Facts, *, trigger: str) -> RetrainingPlan:
    if facts.obstacle:
        return RetrainingPlan(state=PlanState.BLOCKED, message=f"due, but {facts.obstacle}")
    return RetrainingPlan(state=PlanState.DUE, message=trigger)
