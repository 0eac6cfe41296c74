"""Which thresholds hold for a version's masks: fitted on held-out images, unless the lead's differ.

`ModelVersion.thresholds`:
    "automatic": {predicted_iou, stability_score, precision, recall, num_truths}
    "prefill": the same by the id of the other model of the pair, SAM or detector.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from engine.domain.policy import DEFAULT_POLICY, Policy
from engine.models import ModelVersion

AUTOMATIC, PREFILL = "automatic", "prefill"


def prefill_policy(policy: Policy, *, sam: ModelVersion, detector: ModelVersion) -> Policy:
    """Return the policy with the thresholds fitted for this pair of models.

    A threshold that the lead changed from its default wins.
    """
    fitted = _of_pair(detector, sam) or _of_pair(sam, detector)
    if fitted is None:
        return policy
    if policy.prefill_min_predicted_iou == DEFAULT_POLICY.prefill_min_predicted_iou:
        policy = replace(policy, prefill_min_predicted_iou=fitted[0])
    if policy.prefill_min_stability_score == DEFAULT_POLICY.prefill_min_stability_score:
        policy = replace(policy, prefill_min_stability_score=fitted[1])
    return policy


def prefill_entry(
    version: ModelVersion, other: ModelVersion, fitted: Mapping[str, Any]
) -> dict[str, Any]:
    """Return what to note with `version` about its work together with `other`.

    Args:
        fitted: The thresholds and what they were fitted on, as plain values.
    """
    known = version.thresholds.get(PREFILL)
    kept = dict(known) if isinstance(known, Mapping) else {}
    return {PREFILL: {**kept, str(other.pk): dict(fitted)}}


def automatic_thresholds(version: ModelVersion) -> tuple[float, float] | None:
    """Return the least predicted IoU and stability of automatic masks; None: nothing was fitted."""
    return _thresholds(version.thresholds.get(AUTOMATIC))


def _of_pair(version: ModelVersion, other: ModelVersion) -> tuple[float, float] | None:
    by_model = version.thresholds.get(PREFILL)
    return _thresholds(by_model.get(str(other.pk))) if isinstance(by_model, Mapping) else None


def _thresholds(fitted: object) -> tuple[float, float] | None:
    if not isinstance(fitted, Mapping):
        return None
    # Within the range of a policy; a model may rate itself above 1.
    least_iou, least_stability = (
        min(max(float(fitted[name]), 0.0), 1.0) for name in ("predicted_iou", "stability_score")
    )
    return least_iou, least_stability
