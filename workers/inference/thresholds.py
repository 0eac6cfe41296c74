"""How sure a version must be of its own masks: fitted on held-out images, kept with the version.

`ModelVersion.thresholds`:
    "automatic": {predicted_iou, stability_score, precision, recall, num_truths}
    "prefill": the same by the id of the other model of the pair, SAM or detector.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from typing import Any

from engine.domain.policy import DEFAULT_POLICY, Policy
from engine.models import ModelVersion
from masks.rle import Rle
from sam.automatic.mask_generator import AutomaticSettings, generate
from sam.detection.object_detector import ObjectDetector
from sam.modeling.model import Sam
from training.data.features import FeatureStore, load_rgb
from training.data.manifest import ImageRecord, ManifestError
from training.detector.thresholds import Answer, Fitted, answers_of, fit
from workers.inference import prelabel

AUTOMATIC, PREFILL = "automatic", "prefill"
MAX_IMAGES = 8
POINTS_PER_SIDE = 16
"""A quarter of the automatic grid: thresholds are of answers, wherever they were asked."""
AUTOMATIC_BETA = 0.5
"""Nobody looks at automatic masks: a false one weighs more than a missed one."""
PREFILL_BETA = 1.0
"""A false mask costs a person about what a missed one does."""
LEAST_PREDICTED_IOU = 0.1
LEAST_STABILITY = 0.3
"""Masks below are not even looked at while fitting."""

OnImage = Callable[[int, int], object]
"""Hears how many of how many images are done: after each, and while one takes long."""
Found = list[tuple[Rle, float, float]]


def fit_automatic(
    model: Sam,
    images: Sequence[ImageRecord],
    *,
    settings: AutomaticSettings,
    on_image: OnImage = lambda done, total: None,
) -> Fitted | None:
    """Fit the thresholds of automatic masks; None when the images say too little.

    settings: how the version masks photos but for the two thresholds.
    """
    lax = replace(
        settings,
        points_per_side=min(settings.points_per_side, POINTS_PER_SIDE),
        pred_iou_thresh=min(settings.pred_iou_thresh, LEAST_PREDICTED_IOU),
        stability_thresh=min(settings.stability_thresh, LEAST_STABILITY),
        settled_votes=0,  # masks that low thresholds let pass must not spare points
    )

    def find(image: ImageRecord, still_here: Callable[..., None]) -> Found:
        area_px = _scaled_area(settings, image)
        found = generate(
            model,
            load_rgb(image.image_path),
            replace(lax, min_region_area_px=area_px),
            on_progress=still_here,
        )
        return [(one.rle, one.weighed_iou(settings), one.stability_score) for one in found]

    return _fit(images, find=find, beta=AUTOMATIC_BETA, on_image=on_image)


def fit_prefill(
    model: Sam,
    detector: ObjectDetector,
    images: Sequence[ImageRecord],
    *,
    on_image: OnImage = lambda done, total: None,
) -> Fitted | None:
    """Fit the thresholds of what the detector's boxes bring; None when images say too little."""
    store = FeatureStore(model, cache_dir=None)

    def find(image: ImageRecord, still_here: Callable[..., None]) -> Found:
        features = store.get(image)
        found = prelabel.propose(
            model,
            detector,
            features=features,
            image_hw=image.image_hw,
            load_photo=lambda: load_rgb(image.image_path),
            on_crop=still_here,
        )
        return [(one.rle, one.predicted_iou, one.stability_score or 0.0) for one in found]

    return _fit(images, find=find, beta=PREFILL_BETA, on_image=on_image)


def prefill_entry(version: ModelVersion, other: ModelVersion, fitted: Fitted) -> dict[str, Any]:
    """Return what to note with `version` about its work together with `other`."""
    known = version.thresholds.get(PREFILL)
    kept = dict(known) if isinstance(known, Mapping) else {}
    return {PREFILL: {**kept, str(other.pk): asdict(fitted)}}


def prefill_policy(policy: Policy, *, sam: ModelVersion, detector: ModelVersion) -> Policy:
    """Return the policy with the thresholds fitted for this pair of models.

    A threshold that the lead changed from its default wins.
    """
    fitted = _read(detector.thresholds.get(PREFILL), sam) or _read(
        sam.thresholds.get(PREFILL), detector
    )
    if fitted is None:
        return policy
    if policy.prefill_min_predicted_iou == DEFAULT_POLICY.prefill_min_predicted_iou:
        policy = replace(policy, prefill_min_predicted_iou=fitted[0])
    if policy.prefill_min_stability_score == DEFAULT_POLICY.prefill_min_stability_score:
        policy = replace(policy, prefill_min_stability_score=fitted[1])
    return policy


def automatic_thresholds(version: ModelVersion) -> tuple[float, float] | None:
    """Return the least predicted IoU and stability of automatic masks; None: nothing was fitted."""
    return _pair(version.thresholds.get(AUTOMATIC))


def _read(by_model: object, other: ModelVersion) -> tuple[float, float] | None:
    return _pair(by_model.get(str(other.pk))) if isinstance(by_model, Mapping) else None


def _pair(fitted: object) -> tuple[float, float] | None:
    if not isinstance(fitted, Mapping):
        return None
    # Within what a policy takes; a model may rate itself above 1.
    least_iou, least_stability = (
        min(max(float(fitted[name]), 0.0), 1.0) for name in ("predicted_iou", "stability_score")
    )
    return least_iou, least_stability


def _scaled_area(settings: AutomaticSettings, image: ImageRecord) -> int:
    height_px, width_px = image.image_hw
    policy = replace(DEFAULT_POLICY, min_area_px=settings.min_region_area_px)
    return policy.min_area_of(height_px=height_px, width_px=width_px)


def _fit(
    images: Sequence[ImageRecord],
    *,
    find: Callable[[ImageRecord, Callable[..., None]], Found],
    beta: float,
    on_image: OnImage,
) -> Fitted | None:
    answers: list[Answer] = []
    num_truths = 0
    chosen = images[:: max(1, len(images) // MAX_IMAGES)][:MAX_IMAGES]
    for done, image in enumerate(chosen):
        try:
            found = find(image, partial(_still_at, on_image, done, len(chosen)))
        except ManifestError:  # it cannot be read: the others say enough
            continue
        truths = [mask.rle for mask in image.masks]
        answers += answers_of(found, truths, first_truth=num_truths)
        num_truths += len(truths)
        on_image(done + 1, len(chosen))
    return fit(answers, num_truths=num_truths, beta=beta)


def _still_at(on_image: OnImage, done: int, total: int, *_: object) -> None:
    on_image(done, total)
