"""May a trained model replace the serving one? Pure comparison of stored metrics."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from engine.domain import gate
from engine.domain.policy import Policy
from engine.domain.states import ModelFamily

Metrics = Mapping[str, Any]

DECIDING_METRICS: Mapping[ModelFamily, tuple[str, ...]] = {
    ModelFamily.SAM: ("clicks_1_miou", "clicks_3_miou", "clicks_5_miou"),
    ModelFamily.OBJECT_DETECTOR: ("recall_50_at_100",),
}
"""What must be measured; both models on the same held-out images. A detector is decided by the
mean of these, a SAM by its gate report (gate.py), mask by mask."""
GATE_KEY = "gate"
"""Where an evaluation's metrics keep the gate report."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PromotionFacts:
    """What promotion depends on. `metrics` and `serving_metrics` are None when not measured."""

    family: ModelFamily
    has_checkpoint: bool
    has_decoder: bool
    fits_encoder: bool
    """A detector reads the features of one encoder: the serving SAM's must be that one."""
    metrics: Metrics | None
    is_own_snapshot: bool
    """Whether `metrics` are of the held-out split it was trained beside; of another one it may
    have learnt the very images."""
    serving: UUID | None
    """The model that serves and could go on serving; None when there is none."""
    serving_metrics: Metrics | None


def missing_parts(candidate: PromotionFacts) -> list[str]:
    """Say what no lead can overrule: a model without these parts cannot serve at all."""
    missing = []
    if not candidate.has_checkpoint:
        missing.append("it has no checkpoint")
    if candidate.family == ModelFamily.SAM and not candidate.has_decoder:
        missing.append("its decoder has not been exported for the browser")
    if not candidate.fits_encoder:
        missing.append("it was made for another encoder than the serving model's")
    return missing


def promotion_blockers(candidate: PromotionFacts, *, policy: Policy) -> list[str]:
    """Say why the candidate should not serve; empty when it may."""
    blockers = missing_parts(candidate)
    score = _score(candidate.family, candidate.metrics)
    if candidate.metrics is None:
        return [*blockers, "it has not been evaluated on held-out images"]
    if score is None:
        return [*blockers, "a deciding figure of its evaluation is missing or not a number"]
    if not candidate.is_own_snapshot:
        blockers.append("it was measured on another snapshot than the one it was trained beside")
    if candidate.family == ModelFamily.SAM:
        return [*blockers, *_gate_blockers(candidate, candidate.metrics, policy=policy)]
    if candidate.serving is None:
        return blockers
    serving_score = _score(candidate.family, candidate.serving_metrics)
    if serving_score is None:
        return [*blockers, "the serving model has not been evaluated on the same images"]
    if score < serving_score - policy.promotion_tolerance:
        names = " / ".join(DECIDING_METRICS[candidate.family])
        blockers.append(f"its {names} is {score:.3f}, the serving model's {serving_score:.3f}")
    return blockers


def _gate_blockers(candidate: PromotionFacts, metrics: Metrics, *, policy: Policy) -> list[str]:
    try:
        report = gate.read_report(metrics.get(GATE_KEY))
    except gate.ReportError as error:
        return [str(error)]
    return gate.gate_blockers(report, serving=candidate.serving, policy=policy)


def _score(family: ModelFamily, metrics: Metrics | None) -> float | None:
    if metrics is None:
        return None
    values = [metrics.get(name) for name in DECIDING_METRICS[family]]
    numbers = [float(value) for value in values if isinstance(value, int | float)]
    if len(numbers) != len(values) or not all(map(math.isfinite, numbers)):
        return None
    return sum(numbers) / len(numbers)
