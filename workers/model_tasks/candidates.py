"""What the tasks of both model families do with a candidate: find its snapshot, let it serve."""

from __future__ import annotations

from typing import Any

from engine.domain import gate
from engine.domain.errors import InvalidInput
from engine.domain.promotion import GATE_KEY
from engine.models import ModelVersion, Snapshot
from engine.services.models import model_versions


def snapshot_of(version: ModelVersion) -> Snapshot:
    """Return the snapshot that a version learns from.

    Raises:
        InvalidInput: It has none.
    """
    if version.snapshot is None:
        raise InvalidInput("this model version has no snapshot to learn from")
    return version.snapshot


def promote_or_reject(candidate: ModelVersion) -> dict[str, Any]:
    """Let an evaluated version serve, or reject it with the reasons of the promotion gate.

    Returns:
        `is_promoted` and `reasons`, for the result of the job.
    """
    blockers = model_versions.promotion_blockers(candidate)
    if blockers:
        model_versions.reject(candidate, reason="; ".join(blockers))
    else:
        model_versions.promote(candidate, actor=None, reason=_promotion_reason(candidate))
    return {"is_promoted": not blockers, "reasons": blockers}


def _promotion_reason(candidate: ModelVersion) -> str:
    latest = candidate.evaluations.order_by("created_at").last()
    memory = gate.memory_sentence((latest.metrics if latest else {}).get(GATE_KEY))
    return "passed the gate on held-out images" + (f"; {memory}" if memory else "")
