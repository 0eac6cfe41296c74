"""`train_detector {model_version}`: train, measure against the serving detector, promote or not."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from django.db import transaction

from engine import storage
from engine.domain.states import ModelFamily
from engine.models import ModelVersion, Snapshot
from engine.selectors.fitted_thresholds import prefill_entry
from engine.services.models import model_versions
from sam.detection import object_detector
from sam.devices import best_device
from training.data.manifest import open_dataset
from training.detector.detector_config import DetectorTrainConfig
from training.detector.train_detector import train_detector
from training.loop.optimisation import TrainStopped
from workers.execution.context import Effects, JobContext, JobStopped
from workers.inference.registry import sam_of, serving
from workers.inference.thresholds import fit_prefill
from workers.model_tasks.candidates import promote_or_reject, snapshot_of
from workers.model_tasks.training_curve import TrainingCurve
from workers.work_dir import work_dir

START = "start_"  # how training names the figures of the detector it began with


def run(context: JobContext) -> Effects:
    version = ModelVersion.objects.select_related("parent", "snapshot").get(
        pk=context.args["model_version"]
    )
    snapshot = snapshot_of(version)
    sam = serving(context.project, family=ModelFamily.SAM)
    start = _start(version, sam=sam)
    model_versions.mark_training(version)
    # Another serving SAM makes another run: features of two encoders do not mix.
    folder = work_dir(f"{version.pk}-{sam.checkpoint_sha256[:12]}")
    curve = TrainingCurve(context, version)
    try:
        result = train_detector(
            DetectorTrainConfig(),
            storage.local_copy(snapshot.manifest_key),
            storage.local_copy(sam.checkpoint_key),
            None if start is None else storage.local_copy(start.checkpoint_key),
            folder,
            on_progress=curve,
            should_stop=context.should_stop,
        )
    except TrainStopped:
        raise JobStopped from None

    prefill = _fit_prefill(context, version, sam=sam, checkpoint=result.checkpoint_path)

    def effects() -> dict[str, Any]:
        curve.keep()
        model_versions.note_thresholds(version, prefill)
        _register(version, checkpoint=result.checkpoint_path, sam=sam)
        _record(version, start=start, snapshot=snapshot, metrics=result.metrics)
        transaction.on_commit(partial(shutil.rmtree, folder, ignore_errors=True))
        return {**result.metrics, **promote_or_reject(version)}

    return effects


def _fit_prefill(
    context: JobContext, version: ModelVersion, *, sam: ModelVersion, checkpoint: Path
) -> dict[str, Any]:
    """Fit what masks of its boxes must score; empty when held-out images have too few masks."""

    def on_image(done: int, total: int) -> None:
        context.checkpoint(0.99, f"fitting thresholds, image {done} of {total}")

    detector = object_detector.load(checkpoint, device=best_device())
    images = open_dataset(storage.local_copy(snapshot_of(version).manifest_key)).in_split("holdout")
    fitted = fit_prefill(sam_of(sam), detector, images, on_image=on_image)
    return prefill_entry(version, sam, asdict(fitted)) if fitted else {}


def _start(version: ModelVersion, *, sam: ModelVersion) -> ModelVersion | None:
    """Return the detector to go on from; None (from scratch) when it reads another encoder."""
    parent = version.parent
    return parent if parent and parent.encoder_sha256 == sam.encoder_sha256 else None


def _register(version: ModelVersion, *, checkpoint: Path, sam: ModelVersion) -> None:
    model_versions.register_checkpoint(
        version,
        checkpoint=checkpoint,
        decoder=None,
        encoder_sha256=sam.encoder_sha256,
        config=asdict(object_detector.read_header(checkpoint).config),
    )


def _record(
    version: ModelVersion,
    *,
    start: ModelVersion | None,
    snapshot: Snapshot,
    metrics: Mapping[str, float],
) -> None:
    """Record what both detectors measured on the same held-out images."""
    before = {
        name.removeprefix(START): value for name, value in metrics.items() if name.startswith(START)
    }
    if start is not None and before:
        model_versions.record_evaluation(start, snapshot=snapshot, metrics=before)
    after = {name: value for name, value in metrics.items() if not name.startswith(START)}
    if after:
        model_versions.record_evaluation(version, snapshot=snapshot, metrics=after)
