"""Fit how sure a model has to be of a mask before it is kept, on images whose objects are known.

A model rates its own masks, and no two rate alike: the released 0.88 drops all that a small model
finds. So every version is fitted by what its own answers were worth.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from masks.overlap import pairwise_iou
from masks.rle import Rle
from training.detector.detector_config import DetectorTrainConfig

HIT_IOU = 0.75
"""Two masks are of one object from there on, as the paper counts agreement (section 5)."""
TOUCHES_IOU = 0.1
UNKNOWN_WEIGHT = DetectorTrainConfig().unknown_weight
"""What an answer counts where nothing is labelled: people label a part of the objects."""
MIN_TRUTHS = 10
"""Fewer true masks than this fit nothing."""
NUM_CUTS, MAX_CUTS = 24, 60
"""Cuts tried for each of the two scores: so many quantiles of each source's answers, and in all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A mask that a model found unasked. truth: the object it hits, -1 for none.

    weight: how much it counts when it hits none. source: the kind of image it was found on.
    """

    predicted_iou: float
    stability_score: float
    truth: int
    weight: float = 1.0
    source: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitted:
    """The least scores to keep a mask, and what they gave on the images they were fitted on."""

    predicted_iou: float
    stability_score: float
    precision: float
    recall: float
    num_truths: int


def answers_of(
    found: Sequence[tuple[Rle, float, float]],
    truths: Sequence[Rle],
    *,
    first_truth: int = 0,
) -> list[Answer]:
    """Compare the (mask, predicted IoU, stability) found on one image with its true masks.

    first_truth: how many true masks the images before had, so that numbers of objects differ.
    """
    if not found:
        return []
    return answers_by_iou(
        pairwise_iou([rle for rle, _, _ in found], truths),
        [(predicted_iou, stability) for _, predicted_iou, stability in found],
        first_truth=first_truth,
    )


def answers_by_iou(
    ious: NDArray[np.float64],
    scores: Sequence[tuple[float, float]],
    *,
    first_truth: int = 0,
    hit_iou: float = HIT_IOU,
    unknown_weight: float = UNKNOWN_WEIGHT,
    source: str = "",
) -> list[Answer]:
    """Do the same with the IoU of found and true masks (found, true) of one image.

    scores: predicted IoU and stability of each found mask. hit_iou: above it a mask is of the
    object. unknown_weight: what a mask counts that touches nothing labelled.
    """
    best = ious.argmax(axis=1)
    answers = []
    for row, (predicted_iou, stability) in enumerate(scores):
        iou = float(ious[row, best[row]])
        answers.append(
            Answer(
                predicted_iou=predicted_iou,
                stability_score=stability,
                truth=first_truth + int(best[row]) if iou > hit_iou else -1,
                weight=unknown_weight if iou < TOUCHES_IOU else 1.0,
                source=source,
            )
        )
    return answers


def fit(
    answers: Sequence[Answer],
    *,
    num_truths: int | Mapping[str, int],
    beta: float,
    min_precision: float | None = None,
) -> Fitted | None:
    """Return the best pair of thresholds; None when there is too little to say.

    Best is the highest recall at a precision of at least min_precision, when some pair reaches it,
    else the highest F-beta; beta below 1 counts false masks more than missed ones. A second mask
    of an object that was found already is false. Equal pairs: the stricter one.
    num_truths: true masks, of each source where there are several: all sources count alike.
    """
    by_source = num_truths if isinstance(num_truths, Mapping) else {"": num_truths}
    total = sum(by_source.values())
    if total < MIN_TRUTHS or not any(one.truth >= 0 for one in answers):
        return None
    iou = np.array([one.predicted_iou for one in answers])
    stability = np.array([one.stability_score for one in answers])
    groups = [
        _Group.of([(row, one) for row, one in enumerate(answers) if one.source == source], num)
        for source, num in by_source.items()
    ]
    best: tuple[tuple[float, float], Fitted] | None = None
    stabilities = _cuts([stability[group.rows] for group in groups])
    for least_iou in _cuts([iou[group.rows] for group in groups]):
        for least_stability in stabilities:
            kept = (iou >= least_iou) & (stability >= least_stability)
            found = [group.precision_and_recall(kept) for group in groups]
            precision, recall = (float(value) for value in np.mean(found, axis=0))
            if not recall:
                continue
            score = (1 + beta**2) * precision * recall / (beta**2 * precision + recall)
            is_wanted = min_precision is not None and precision >= min_precision
            rank = (recall, precision) if is_wanted else (-1.0, score)
            if best is None or rank >= best[0]:
                fitted = Fitted(
                    predicted_iou=float(least_iou),
                    stability_score=float(least_stability),
                    precision=precision,
                    recall=recall,
                    num_truths=total,
                )
                best = (rank, fitted)
    return None if best is None else best[1]


@dataclass(frozen=True, slots=True)
class _Group:
    """The answers on one source's images: their rows, truths and weights, and its true masks."""

    rows: NDArray[np.int64]
    truth: NDArray[np.int64]
    weight: NDArray[np.float64]
    num_truths: int

    @classmethod
    def of(cls, answers: Sequence[tuple[int, Answer]], num_truths: int) -> _Group:
        return cls(
            np.array([row for row, _ in answers], dtype=np.int64),
            np.array([one.truth for _, one in answers], dtype=np.int64),
            np.array([one.weight for _, one in answers], dtype=np.float64),
            num_truths,
        )

    def precision_and_recall(self, kept: NDArray[np.bool_]) -> tuple[float, float]:
        mine = kept[self.rows]
        is_hit = mine & (self.truth >= 0)
        hits = len(np.unique(self.truth[is_hit]))
        if not hits:
            return 0.0, 0.0
        false = self.weight[mine & (self.truth < 0)].sum() + is_hit.sum() - hits
        return hits / (hits + float(false)), hits / self.num_truths


def _cuts(by_source: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Return thresholds to try, rising: of each source, whose scores may be of another size.

    Rounded down, so that no answer falls to rounding.
    """
    share = np.linspace(0, 1, NUM_CUTS)
    quantiles = [np.quantile(own, share, method="lower") for own in by_source if len(own)]
    cuts = np.unique(np.floor(np.concatenate(quantiles) * 1000) / 1000)
    rows = np.linspace(0, len(cuts) - 1, min(len(cuts), MAX_CUTS)).round().astype(int)
    chosen: NDArray[np.float64] = cuts[rows]
    return chosen
