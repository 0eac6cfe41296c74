"""Fit how sure a model has to be of a mask before it is kept, on images whose objects are known.

A model rates its own masks, and no two rate alike: the released 0.88 drops all that a small model
finds. So every version is fitted by what its own answers were worth.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from masks.overlap import pairwise_iou
from masks.rle import Rle
from training.detector_config import DetectorTrainConfig

HIT_IOU = 0.75
"""Two masks are of one object from there on, as the paper counts agreement (section 5)."""
TOUCHES_IOU = 0.1
UNKNOWN_WEIGHT = DetectorTrainConfig().unknown_weight
"""What an answer counts where nothing is labelled: people label a part of the objects."""
MIN_TRUTHS = 10
"""Fewer true masks than this fit nothing."""
NUM_CUTS = 24
"""Cuts tried for each of the two scores: quantiles of the answers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A mask that a model found unasked. truth: the object it hits, -1 for none.

    weight: how much it counts when it hits none.
    """

    predicted_iou: float
    stability_score: float
    truth: int
    weight: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitted:
    """The least scores to keep a mask, and what they gave on the images they were fitted on."""

    predicted_iou: float
    stability_score: float
    precision: float
    recall: float
    num_truths: int


def answers_of(
    found: Sequence[tuple[Rle, float, float]], truths: Sequence[Rle], *, first_truth: int = 0
) -> list[Answer]:
    """Compare the (mask, predicted IoU, stability) found on one image with its true masks.

    first_truth: how many true masks the images before had, so that numbers of objects differ.
    """
    if not found:
        return []
    ious = pairwise_iou([rle for rle, _, _ in found], truths)
    best = ious.argmax(axis=1)
    answers = []
    for row, (_, predicted_iou, stability) in enumerate(found):
        iou = float(ious[row, best[row]])
        answers.append(
            Answer(
                predicted_iou=predicted_iou,
                stability_score=stability,
                truth=first_truth + int(best[row]) if iou > HIT_IOU else -1,
                weight=UNKNOWN_WEIGHT if iou < TOUCHES_IOU else 1.0,
            )
        )
    return answers


def fit(answers: Sequence[Answer], *, num_truths: int, beta: float) -> Fitted | None:
    """Return the pair of thresholds with the highest F-beta; None when there is too little to say.

    beta below 1 counts false masks more than missed ones. A second mask of an object that was
    found already is false. Equal pairs: the stricter one.
    """
    if num_truths < MIN_TRUTHS or not any(one.truth >= 0 for one in answers):
        return None
    iou = np.array([one.predicted_iou for one in answers])
    stability = np.array([one.stability_score for one in answers])
    truth = np.array([one.truth for one in answers])
    weight = np.array([one.weight for one in answers])
    best: tuple[float, Fitted] | None = None
    for least_iou in _cuts(iou):
        for least_stability in _cuts(stability):
            kept = (iou >= least_iou) & (stability >= least_stability)
            hits = len(np.unique(truth[kept & (truth >= 0)]))
            if not hits:
                continue
            false = weight[kept & (truth < 0)].sum() + (kept & (truth >= 0)).sum() - hits
            precision, recall = hits / (hits + false), hits / num_truths
            score = (1 + beta**2) * precision * recall / (beta**2 * precision + recall)
            if best is None or score >= best[0]:
                fitted = Fitted(
                    predicted_iou=float(least_iou),
                    stability_score=float(least_stability),
                    precision=float(precision),
                    recall=recall,
                    num_truths=num_truths,
                )
                best = (score, fitted)
    return None if best is None else best[1]


def _cuts(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return thresholds to try, rising; rounded down, so that no answer falls to rounding."""
    quantiles = np.quantile(values, np.linspace(0, 1, NUM_CUTS), method="lower")
    cuts: NDArray[np.float64] = np.unique(np.floor(quantiles * 1000) / 1000)
    return cuts
