"""Fit on held-out images how a version must rate its own masks for them to be kept.

Which thresholds hold for a job is decided by engine.selectors.fitted_thresholds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from engine.domain.policy import DEFAULT_POLICY
from masks.rle import Rle
from sam.automatic.mask_generator import AutomaticSettings, generate
from sam.detection.object_detector import ObjectDetector
from sam.modeling.model import Sam
from training.data.features import FeatureStore, load_rgb
from training.data.manifest import ImageRecord, ManifestError
from training.detector.thresholds import Answer, Fitted, answers_of, fit
from workers.inference import prelabel

MAX_IMAGES = 8
POINTS_PER_SIDE = 16
"""A quarter of the automatic grid: thresholds do not depend on where points are."""
AUTOMATIC_BETA = 0.5
"""Nobody reviews automatic masks: a false one weighs more than a missed one."""
PREFILL_BETA = 1.0
"""A false mask costs a person about what a missed one does."""
LEAST_PREDICTED_IOU = 0.1
LEAST_STABILITY = 0.3
"""Masks rated lower are left out of the fit."""

OnImage = Callable[[int, int], object]
"""Receives how many of how many images are done: after each, and while one takes long."""
Found = list[tuple[Rle, float, float]]


def fit_automatic(
    model: Sam,
    images: Sequence[ImageRecord],
    *,
    settings: AutomaticSettings,
    on_image: OnImage = lambda done, total: None,
) -> Fitted | None:
    """Fit the thresholds of automatic masks; None when there are too few masks to fit.

    settings: of the version's automatic masks; their two thresholds are ignored.
    """
    lax = replace(
        settings,
        points_per_side=min(settings.points_per_side, POINTS_PER_SIDE),
        pred_iou_thresh=min(settings.pred_iou_thresh, LEAST_PREDICTED_IOU),
        stability_thresh=min(settings.stability_thresh, LEAST_STABILITY),
        settled_votes=0,  # masks that low thresholds let pass must not spare points
    )

    def find(image: ImageRecord, on_step: Callable[..., None]) -> Found:
        area_px = _scaled_area(settings, image)
        found = generate(
            model,
            load_rgb(image.image_path),
            replace(lax, min_region_area_px=area_px),
            on_progress=on_step,
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
    """Fit the thresholds of prefilled masks; None when the images have too few masks."""
    store = FeatureStore(model, cache_dir=None)

    def find(image: ImageRecord, on_step: Callable[..., None]) -> Found:
        features = store.get(image)
        found = prelabel.propose(
            model,
            detector,
            features=features,
            image_hw=image.image_hw,
            load_image=lambda: load_rgb(image.image_path),
            on_crop=on_step,
        )
        return [(one.rle, one.predicted_iou, one.stability_score or 0.0) for one in found]

    return _fit(images, find=find, beta=PREFILL_BETA, on_image=on_image)


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
            found = find(image, partial(_report_step, on_image, done, len(chosen)))
        except ManifestError:  # it cannot be read: the others suffice
            continue
        truths = [mask.rle for mask in image.masks]
        answers += answers_of(found, truths, first_truth=num_truths)
        num_truths += len(truths)
        on_image(done + 1, len(chosen))
    return fit(answers, num_truths=num_truths, beta=beta)


def _report_step(on_image: OnImage, done: int, total: int, *_: object) -> None:
    on_image(done, total)
