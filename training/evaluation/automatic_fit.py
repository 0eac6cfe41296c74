"""Fit what a checkpoint recommends for automatic masks, on images whose objects are known.

Candidates are collected once from each image with loose thresholds; then ways to count votes and
to suppress near-equal masks are tried, each with the thresholds that suit it best
(`training.thresholds`). Never fit on what measures the model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
import torch
from numpy.typing import NDArray

from masks.overlap import pairwise_iou
from sam.automatic.coarse_grid import rank_score, vote_weight
from sam.automatic.mask_generator import AutomaticSettings, generate
from sam.modeling.model import Sam
from training.data.features import load_image
from training.data.manifest import ImageRecord, ManifestError
from training.detector.thresholds import Answer, Fitted, answers_by_iou, fit
from training.evaluation.automatic_quality import LOOSE_IOU
from training.loop.optimisation import OnProgress, no_progress

FULL_VOTES = (2, 3, 5)
"""Never none: without votes a small model tiles plain ground with hundreds of masks."""
MASK_NMS_IOUS = (0.5, 0.6, 0.7, 0.8)
LEAST_PREDICTED_IOU, LEAST_STABILITY = 0.2, 0.5
"""Masks below are not even looked at."""
LOOSE_NMS_IOU = 0.9
MIN_CONTRAST_LEVELS, MAX_AREA_SHARE = 6.0, 0.95
"""What tells ground from objects, where the settings do not say otherwise: 99 of 100 found masks
of images' objects differ from the ring around them by 6 levels or more, masks on plain ground,
ramps and mild noise by less."""
BETA = 0.5
"""Where the wanted precision is out of reach: a false mask weighs more than a missed one."""


@dataclass(frozen=True, slots=True)
class Candidates:
    """The masks of one image (N), their IoU among each other and with its true masks (N, M)."""

    source: str
    predicted_iou: NDArray[np.float64]
    stability: NDArray[np.float64]
    votes: NDArray[np.int64]
    between: NDArray[np.float64]
    with_truth: NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class FittedSettings:
    """The settings to recommend, and what they gave on the images they were fitted on."""

    settings: AutomaticSettings
    precision: float
    recall: float
    num_truths: int
    num_images: int


def collect(
    model: Sam,
    images: Sequence[ImageRecord],
    settings: AutomaticSettings,
    *,
    on_progress: OnProgress = no_progress,
) -> tuple[list[Candidates], list[str]]:
    """Ask every point of the grid on each image and keep what is not hopeless.

    settings: how to look but for thresholds, votes and suppression. Returns the candidates and one
    sentence about each image that cannot be read.
    """
    loose = replace(
        settings,
        adaptive_grid=True,
        full_votes=0,
        settled_votes=0,
        pred_iou_thresh=LEAST_PREDICTED_IOU,
        stability_thresh=LEAST_STABILITY,
        nms_iou_thresh=1.0,
        mask_nms_iou_thresh=LOOSE_NMS_IOU,
        max_covered_share=None,
    )
    found: list[Candidates] = []
    problems: list[str] = []
    for done, image in enumerate(images, start=1):
        try:
            masks = generate(model, load_image(image), loose)
        except ManifestError as error:
            problems.append(f"image {image.image_id}: {error}")
            continue
        rles = [mask.rle for mask in masks]
        truths = [mask.rle for mask in image.masks]
        found.append(
            Candidates(
                image.source,
                np.array([mask.predicted_iou for mask in masks], dtype=np.float64),
                np.array([mask.stability_score for mask in masks], dtype=np.float64),
                np.array([mask.votes for mask in masks], dtype=np.int64),
                pairwise_iou(rles, rles),
                pairwise_iou(rles, truths),
            )
        )
        on_progress(done / len(images), f"asked {done} of {len(images)} images")
    return found, problems


def fit_automatic(
    images: Sequence[Candidates], settings: AutomaticSettings, *, min_precision: float
) -> FittedSettings | None:
    """Return the settings of highest recall at the wanted precision; None: too little to say.

    Both are means over sources, at IoU 0.5; precision is a lower bound where not every object is
    labelled. Where no settings reach it, those of the best F0.5. Boxes suppress nothing: what only
    shares a box is another mask.
    """
    settings = replace(
        settings,
        adaptive_grid=True,
        nms_iou_thresh=1.0,
        min_contrast_levels=settings.min_contrast_levels or MIN_CONTRAST_LEVELS,
        max_area_share=settings.max_area_share or MAX_AREA_SHARE,
    )
    num_truths: dict[str, int] = {}
    for image in images:
        count = image.with_truth.shape[1]
        num_truths[image.source] = num_truths.get(image.source, 0) + count
    best: tuple[tuple[float, float], FittedSettings] | None = None
    for full_votes, nms_iou in product(FULL_VOTES, MASK_NMS_IOUS):
        tried = replace(settings, full_votes=full_votes, mask_nms_iou_thresh=nms_iou)
        answers = [one for answers in _answers(images, tried) for one in answers]
        fitted = fit(answers, num_truths=num_truths, beta=BETA, min_precision=min_precision)
        if fitted is None:
            continue
        rank = _rank(fitted, min_precision)
        if best is None or rank > best[0]:
            chosen = FittedSettings(
                settings=replace(
                    tried,
                    pred_iou_thresh=round(fitted.predicted_iou, 3),
                    stability_thresh=round(fitted.stability_score, 3),
                ),
                precision=fitted.precision,
                recall=fitted.recall,
                num_truths=fitted.num_truths,
                num_images=len(images),
            )
            best = (rank, chosen)
    return None if best is None else best[1]


def _rank(fitted: Fitted, min_precision: float) -> tuple[float, float]:
    if fitted.precision >= min_precision:
        return fitted.recall, fitted.precision
    weighed = (1 + BETA**2) * fitted.precision * fitted.recall
    return -1.0, weighed / (BETA**2 * fitted.precision + fitted.recall)


def _answers(images: Sequence[Candidates], settings: AutomaticSettings) -> list[list[Answer]]:
    """Return what is left on each image after suppression, with predicted IoU as votes weigh it."""
    answers, first_truth = [], 0
    for image in images:
        iou, votes = torch.from_numpy(image.predicted_iou), torch.from_numpy(image.votes)
        weighed = (iou * vote_weight(votes, settings)).numpy()
        order = np.argsort(-rank_score(iou, votes, settings).numpy(), kind="stable")
        kept = order[_suppressed(image.between[np.ix_(order, order)], settings)]
        if len(kept) and image.with_truth.shape[1]:
            answers.append(
                answers_by_iou(
                    image.with_truth[kept],
                    [(float(weighed[i]), float(image.stability[i])) for i in kept],
                    first_truth=first_truth,
                    hit_iou=LOOSE_IOU,
                    unknown_weight=1.0,
                    source=image.source,
                )
            )
        first_truth += image.with_truth.shape[1]
    return answers


def _suppressed(between: NDArray[np.float64], settings: AutomaticSettings) -> NDArray[np.int64]:
    """Return the rows kept of the IoU among masks that come best first."""
    thresh = settings.mask_nms_iou_thresh
    is_gone = np.zeros(len(between), dtype=bool)
    kept: list[int] = []
    for row in range(len(between)):
        if not is_gone[row]:
            kept.append(row)
            is_gone |= between[row] > (1.0 if thresh is None else thresh)
    return np.array(kept, dtype=np.int64)
