"""`evaluate_sam {model_version, snapshot?}`: candidate and serving model on held-out images.

The candidate serves when it passes the promotion gate (engine/domain/gate.py). Else it is rejected,
with the reasons.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from engine import storage
from engine.domain.errors import InvalidInput
from engine.domain.promotion import GATE_KEY
from engine.domain.states import ModelFamily
from engine.models import ModelVersion, Snapshot
from engine.selectors.fitted_thresholds import AUTOMATIC, prefill_entry
from engine.selectors.models import detector_beside, serving_version
from engine.services.models import model_versions
from sam.checkpoints.checkpoint_files import CheckpointError, encoder_sha256
from sam.export.onnx_decoder import ParityError, check_decoder
from sam.modeling.model import Sam
from training.data.crop_dataset import add_crops
from training.data.manifest import ImageRecord, open_dataset
from training.evaluation.comparison import compare, probe
from training.evaluation.evaluate import evaluate
from training.evaluation.metrics import Metrics
from training.evaluation.prompt_memory import Key, compare_memory, replay_memory
from training.loop.config import TrainConfig
from workers.execution.context import Effects, JobContext
from workers.inference.automask import recommended_settings
from workers.inference.registry import detector_of, sam_of
from workers.inference.thresholds import fit_automatic, fit_prefill
from workers.model_tasks.candidates import promote_or_reject, snapshot_of

CROPS_PER_IMAGE = TrainConfig().crops_per_image  # as many as in training
SCORES_KIND = "scores"
SCORES_KEY = "crop_scores_key"
"""Where an evaluation's metrics name the stored file with the figures of every mask."""


def run(context: JobContext) -> Effects:
    candidate = ModelVersion.objects.select_related("parent", "snapshot").get(
        pk=context.args["model_version"]
    )
    snapshot = _measured_on(context, candidate)
    manifest = storage.local_copy(snapshot.manifest_key)
    images = open_dataset(manifest).require_split("holdout")
    crops = add_crops(images, max_per_image=CROPS_PER_IMAGE)
    serving = serving_version(context.project, family=ModelFamily.SAM)
    before: Metrics | None = None
    memory_before: dict[Key, float] = {}
    against: dict[str, Any] = {"against": None}
    if serving is not None and serving.pk != candidate.pk:
        other = _model(serving)
        before = _known(serving, snapshot=snapshot) or _measure(
            context, serving, other, manifest=manifest, share=(0.0, 0.4)
        )
        against = {"against": str(serving.pk), "against_probe": probe(other, images).to_json()}
        memory_before = replay_memory(other, crops)
        del other  # two may not fit into memory
    model = _model(candidate)
    after = _measure(context, candidate, model, manifest=manifest, share=(0.4, 0.8))
    report = {**_trials(candidate, model, images), **against}
    if before is not None:
        report |= compare(before, after, images=images).to_json()
    if memory_before:
        memory = compare_memory(memory_before, replay_memory(model, crops))
        report["memory"] = memory.to_json()
    thresholds = _fit_thresholds(context, candidate, model, images)

    def effects() -> dict[str, Any]:
        model_versions.note_thresholds(candidate, thresholds)
        if serving is not None and before is not None:
            _record(serving, snapshot=snapshot, metrics=before)
        _record(candidate, snapshot=snapshot, metrics=after, extra={GATE_KEY: report})
        return promote_or_reject(candidate)

    return effects


def _measured_on(context: JobContext, candidate: ModelVersion) -> Snapshot:
    """Return the snapshot the job names; else the one the candidate was trained beside."""
    named = context.args.get("snapshot")
    return Snapshot.objects.get(pk=named) if named else snapshot_of(candidate)


def _fit_thresholds(
    context: JobContext, candidate: ModelVersion, model: Sam, images: Sequence[ImageRecord]
) -> dict[str, Any]:
    """Fit what its masks must score, alone and with the detector that would serve beside it."""
    noted: dict[str, Any] = {}

    def on_image(what: str, first: float, done: int, total: int) -> None:
        text = f"fitting thresholds of {what} masks, {done} of {total} images"
        context.checkpoint(first + 0.08 * done / total, text)

    settings = recommended_settings(candidate)
    on_automatic = partial(on_image, "automatic", 0.8)
    if automatic := fit_automatic(model, images, settings=settings, on_image=on_automatic):
        noted[AUTOMATIC] = asdict(automatic)
    if (detector := detector_beside(candidate)) is not None:
        on_prefill = partial(on_image, "prefilled", 0.88)
        prefill = fit_prefill(model, detector_of(detector), images, on_image=on_prefill)
        noted |= prefill_entry(candidate, detector, asdict(prefill)) if prefill else {}
    return noted


def _model(version: ModelVersion) -> Sam:
    """Load a version's checkpoint; InvalidInput when the stored file is not the one that was kept
    or holds no model: trying again would not help."""
    if not storage.is_intact(version.checkpoint_key):
        raise InvalidInput(f"the stored checkpoint of version {version.number} was changed")
    try:
        model = sam_of(version)
    except CheckpointError as error:
        raise InvalidInput(f"version {version.number} cannot be loaded: {error}") from error
    if encoder_sha256(model) != version.encoder_sha256:
        raise InvalidInput(f"version {version.number} holds another encoder than it names")
    return model


def _trials(candidate: ModelVersion, model: Sam, images: Sequence[ImageRecord]) -> dict[str, Any]:
    """Run checks of the candidate and of the decoder file that browsers will get."""
    error = ""
    if candidate.decoder_key:
        try:
            check_decoder(model, storage.local_copy(candidate.decoder_key)).require_equal()
        except ParityError as found:
            error = str(found)
    return {"probe": probe(model, images).to_json(), "decoder_error": error}


def _known(version: ModelVersion, *, snapshot: Snapshot) -> Metrics | None:
    """Return what the version has measured on the snapshot before, mask by mask."""
    known = version.evaluations.filter(snapshot=snapshot).first()
    if known is None or SCORES_KEY not in known.metrics:
        return None
    return Metrics.from_json(json.loads(storage.read_bytes(known.metrics[SCORES_KEY])))


def _record(
    version: ModelVersion,
    *,
    snapshot: Snapshot,
    metrics: Metrics,
    extra: Mapping[str, Any] | None = None,
) -> None:
    document = json.dumps(metrics.to_json(with_masks=True), sort_keys=True)
    key = storage.put_bytes(SCORES_KIND, document.encode(), ".json")
    kept = {**metrics.to_json(), SCORES_KEY: key, **(extra or {})}
    model_versions.record_evaluation(version, snapshot=snapshot, metrics=kept)


def _measure(
    context: JobContext,
    version: ModelVersion,
    model: Sam,
    *,
    manifest: Path,
    share: tuple[float, float],
) -> Metrics:
    first, last = share

    def on_progress(fraction: float, message: str, **_: float) -> None:
        context.checkpoint(first + (last - first) * fraction, f"v{version.number}: {message}")

    on_progress(0.0, "measuring")
    return evaluate(model, manifest, crops_per_image=CROPS_PER_IMAGE, on_progress=on_progress)
