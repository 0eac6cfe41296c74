"""What an evaluation found: figures per mask, their means and how sure they are.

They are kept per mask so that two checkpoints can be compared on the same masks.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
NUM_RESAMPLES = 2000
CONFIDENCE = 0.95
CALIBRATION_BINS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskScore:
    """The IoUs of one ground-truth mask, by kind: clicks_1, oracle_1, box, fill_box, ...

    figures: what else was measured and is no IoU: clicks_to_85, boundary_f_1, ar_100, ...
    """

    image_id: str
    mask_id: str
    source: str
    ious: Mapping[str, float]
    figures: Mapping[str, float] = field(default_factory=dict)

    def value(self, name: str) -> float:
        """Return an IoU or another figure."""
        return self.ious[name] if name in self.ious else self.figures[name]


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Mean IoU of b minus a over the masks both were measured on, with a 95 % interval.

    worse_share: of the bootstrap's draws of images, how many say that b is worse.
    """

    mean: float
    low: float
    high: float
    worse_share: float
    num_masks: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """How predicted IoU goes with true IoU.

    correlation: Pearson's; NaN when one of the two does not vary. error: the expected calibration
    error, the mean distance of predicted and true means in ten bins of predicted IoU (Guo et al.
    2017), weighed by their masks.
    """

    correlation: float
    error: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Metrics:
    """The result of an evaluation. `mean` weighs masks alike, `macro` sources alike.

    problems: one sentence about each record, mask or image that was left out.
    """

    scores: tuple[MaskScore, ...]
    problems: tuple[str, ...] = ()

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of IoU."""
        return tuple(self.scores[0].ious) if self.scores else ()

    @property
    def figures(self) -> tuple[str, ...]:
        """The names of what was measured besides IoU."""
        return tuple(self.scores[0].figures) if self.scores else ()

    @property
    def sources(self) -> tuple[str, ...]:
        return tuple(sorted({score.source for score in self.scores}))

    @property
    def num_masks(self) -> int:
        return len(self.scores)

    @property
    def num_images(self) -> int:
        return len({score.image_id for score in self.scores})

    def of_source(self, source: str) -> Metrics:
        """Return the part that belongs to one source."""
        return Metrics(scores=tuple(s for s in self.scores if s.source == source))

    def mean(self, name: str) -> float:
        """Return the mean over masks."""
        return float(self._values(name).mean())

    def macro(self, name: str) -> float:
        """Return the mean over sources of their means."""
        return float(np.mean([self.of_source(source).mean(name) for source in self.sources]))

    def interval(self, name: str) -> tuple[float, float]:
        """Return the 95 % bootstrap interval of the mean; whole images are resampled."""
        groups = [score.image_id for score in self.scores]
        return bootstrap_interval(self._values(name), groups=groups)

    def macro_interval(self, name: str) -> tuple[float, float]:
        """Return the 95 % interval of `macro`; images are resampled within their sources."""
        parts = [
            self.of_source(source)._resampled(name, seed=seed)
            for seed, source in enumerate(self.sources)
        ]
        return quantiles(np.mean(parts, axis=0))

    def calibration(self, kind: str, predicted: str) -> Calibration:
        """Compare a predicted IoU, one of `figures`, with the IoU of that kind over all masks."""
        return calibration_of(self._values(predicted), self._values(kind))

    def to_json(self, *, with_masks: bool = False) -> dict[str, Any]:
        """Return plain figures: means, `_macro` means, `_ci95` intervals, counts, sources.

        IoUs are named `<kind>_miou`, `<kind>_macro_miou`, `<kind>_ci95` and so on; other figures
        `<name>`, `<name>_macro`, `<name>_ci95`.
        with_masks: add the figures of each mask, which `from_json` reads back, and the problems.
        """
        document: dict[str, Any] = {"num_masks": self.num_masks, "num_images": self.num_images}
        for name, mean_name, macro_name in self._json_names():
            document[mean_name] = self.mean(name)
            document[macro_name] = self.macro(name)
            document[f"{name}_ci95"] = list(self.interval(name))
            document[f"{macro_name}_ci95"] = list(self.macro_interval(name))
        document["sources"] = {source: self._source_json(source) for source in self.sources}
        document["num_problems"] = len(self.problems)
        if with_masks:
            document["masks"] = [
                {
                    "image": s.image_id,
                    "mask": s.mask_id,
                    "source": s.source,
                    "ious": dict(s.ious),
                    "figures": dict(s.figures),
                }
                for s in self.scores
            ]
            document["problems"] = list(self.problems)
        return document

    def _source_json(self, source: str) -> dict[str, Any]:
        part = self.of_source(source)
        values: dict[str, Any] = {"num_masks": part.num_masks, "num_images": part.num_images}
        for name, mean_name, _ in self._json_names():
            values[mean_name] = part.mean(name)
            values[f"{name}_ci95"] = list(part.interval(name))
        return values

    def _json_names(self) -> list[tuple[str, str, str]]:
        ious = [(kind, f"{kind}_miou", f"{kind}_macro_miou") for kind in self.kinds]
        return ious + [(name, name, f"{name}_macro") for name in self.figures]

    def _values(self, name: str) -> FloatArray:
        return np.array([score.value(name) for score in self.scores], dtype=np.float64)

    def _resampled(self, name: str, *, seed: int) -> FloatArray:
        groups = [score.image_id for score in self.scores]
        return resampled_means(self._values(name), groups=groups, seed=seed)

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Metrics:
        """Read what to_json(with_masks=True) wrote."""
        return cls(
            scores=tuple(
                MaskScore(
                    image_id=m["image"],
                    mask_id=m["mask"],
                    source=m["source"],
                    ious=m["ious"],
                    figures=m.get("figures", {}),
                )
                for m in document["masks"]
            ),
            problems=tuple(document.get("problems", ())),
        )


def calibration_of(predicted: FloatArray, true: FloatArray) -> Calibration:
    """Compare predicted with true IoU (N,); predictions count as at least 0 and at most 1."""
    predicted = np.clip(predicted, 0.0, 1.0)
    bins = np.minimum((predicted * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)
    gaps = np.abs(np.bincount(bins, weights=predicted - true, minlength=CALIBRATION_BINS))
    is_varied = len(true) > 1 and predicted.std() > 0 and true.std() > 0
    correlation = float(np.corrcoef(predicted, true)[0, 1]) if is_varied else math.nan
    return Calibration(correlation=correlation, error=float(gaps.sum() / len(true)))


def bootstrap_interval(
    values: FloatArray, *, groups: Sequence[str], seed: int = 0
) -> tuple[float, float]:
    """Return the 95 % interval of the mean of `values`, resampling whole groups.

    Masks of one image stand or fall together, so resampling masks would promise too much.
    """
    return quantiles(resampled_means(values, groups=groups, seed=seed))


def resampled_means(values: FloatArray, *, groups: Sequence[str], seed: int) -> FloatArray:
    """Return the means of NUM_RESAMPLES draws of as many groups, with replacement.

    One group alone would always be drawn, as if its mean were sure: then values are drawn instead.
    """
    names, membership = np.unique(np.array(groups), return_inverse=True)
    if len(names) == 1:
        names, membership = np.arange(len(values)), np.arange(len(values))
    sums = np.bincount(membership, weights=values, minlength=len(names))
    sizes = np.bincount(membership, minlength=len(names))
    generator = np.random.default_rng(seed)
    picks = generator.integers(0, len(names), size=(NUM_RESAMPLES, len(names)))
    return np.asarray(sums[picks].sum(axis=1) / sizes[picks].sum(axis=1))


def quantiles(means: FloatArray) -> tuple[float, float]:
    """Return the 95 % interval of resampled means."""
    low, high = np.quantile(means, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)


def paired_difference(
    a: Metrics,
    b: Metrics,
    *,
    kinds: Sequence[str] = ("clicks_1",),
    mask_ids: Collection[str] | None = None,
    ceiling_iou: float = math.inf,
) -> Difference:
    """Compare two checkpoints on the masks that both were measured on: b minus a.

    kinds: a mask counts with the mean of these. mask_ids: only these masks.
    ceiling_iou: an IoU counts up to here. Raises ValueError when no mask is left.
    """

    def value(score: MaskScore) -> float:
        return sum(min(score.value(kind), ceiling_iou) for kind in kinds) / len(kinds)

    before = {(s.image_id, s.mask_id): value(s) for s in a.scores}
    pairs = [
        (score.image_id, value(score) - before[score.image_id, score.mask_id])
        for score in b.scores
        if (score.image_id, score.mask_id) in before
        and (mask_ids is None or score.mask_id in mask_ids)
    ]
    if not pairs:
        raise ValueError("the two evaluations have no mask in common")
    changes = np.array([change for _, change in pairs])
    means = resampled_means(changes, groups=[image_id for image_id, _ in pairs], seed=0)
    low, high = quantiles(means)
    return Difference(
        mean=float(changes.mean()),
        low=low,
        high=high,
        worse_share=float((means < 0).mean()),
        num_masks=len(pairs),
    )
