"""`evaluate_sam {model_version}`: candidate against serving model on the same held-out images.

Not worse: the candidate serves from now on. Else it is rejected, with the reasons.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from engine import storage
from engine.domain.states import ModelFamily
from engine.models import ModelVersion, Snapshot
from engine.selectors.models import serving_version
from engine.services import model_versions
from training.evaluate import evaluate
from workers.context import Effects, JobContext
from workers.inference.registry import sam_of
from workers.tasks.train_sam import snapshot_of

Metrics = Mapping[str, Any]


def run(context: JobContext) -> Effects:
    candidate = ModelVersion.objects.select_related("parent", "snapshot").get(
        pk=context.args["model_version"]
    )
    snapshot = snapshot_of(candidate)
    manifest = storage.path_of(snapshot.manifest_key)
    serving = serving_version(context.project, family=ModelFamily.SAM)
    serving_metrics: Metrics | None = None
    if serving is not None and serving.pk != candidate.pk:
        serving_metrics = _known(serving, snapshot=snapshot) or _measure(
            context, serving, manifest=manifest, share=(0.0, 0.5)
        )
    metrics = _measure(context, candidate, manifest=manifest, share=(0.5, 1.0))

    def effects() -> dict[str, Any]:
        if serving is not None and serving_metrics is not None:
            model_versions.record_evaluation(serving, snapshot=snapshot, metrics=serving_metrics)
        model_versions.record_evaluation(candidate, snapshot=snapshot, metrics=metrics)
        return promote_or_reject(candidate)

    return effects


def promote_or_reject(candidate: ModelVersion) -> dict[str, Any]:
    """Let an evaluated version serve unless something speaks against it; say which it was."""
    blockers = model_versions.promotion_blockers(candidate)
    if blockers:
        model_versions.reject(candidate, reason="; ".join(blockers))
    else:
        model_versions.promote(candidate, actor=None, reason="not worse on the held-out images")
    return {"is_promoted": not blockers, "reasons": blockers}


def _known(version: ModelVersion, *, snapshot: Snapshot) -> Metrics | None:
    """Return what the version has measured on the snapshot before."""
    known = version.evaluations.filter(snapshot=snapshot).first()
    return None if known is None else dict(known.metrics)


def _measure(
    context: JobContext, version: ModelVersion, *, manifest: Path, share: tuple[float, float]
) -> Metrics:
    first, last = share

    def on_progress(fraction: float, message: str, **_: float) -> None:
        context.checkpoint(first + (last - first) * fraction, f"v{version.number}: {message}")

    on_progress(0.0, "measuring")
    return evaluate(sam_of(version), manifest, on_progress=on_progress).to_json()
