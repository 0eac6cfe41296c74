"""What an evaluation found: one IoU per mask and prompt kind, their means and how sure they are.

IoUs are kept per mask so that two checkpoints can be compared on the same masks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
NUM_RESAMPLES = 2000
CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskScore:
    """The IoUs of one ground-truth mask, by kind: clicks_1, oracle_1, box, fill_box, ..."""

    image_id: str
    mask_id: str
    source: str
    ious: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Mean IoU of b minus a over the masks both were measured on, with a 95 % interval."""

    mean: float
    low: float
    high: float
    num_masks: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Metrics:
    """The result of an evaluation. `mean` weighs masks alike, `macro` sources alike."""

    scores: tuple[MaskScore, ...]

    @property
    def kinds(self) -> tuple[str, ...]:
        return tuple(self.scores[0].ious) if self.scores else ()

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

    def mean(self, kind: str) -> float:
        """Return the mean IoU over masks."""
        return float(np.mean([score.ious[kind] for score in self.scores]))

    def macro(self, kind: str) -> float:
        """Return the mean over sources of their mean IoU."""
        return float(np.mean([self.of_source(source).mean(kind) for source in self.sources]))

    def interval(self, kind: str) -> tuple[float, float]:
        """Return the 95 % bootstrap interval of the mean; whole images are resampled."""
        values = np.array([score.ious[kind] for score in self.scores])
        return bootstrap_interval(values, groups=[score.image_id for score in self.scores])

    def to_json(self, *, with_masks: bool = False) -> dict[str, Any]:
        """Return plain figures: `<kind>_miou`, `<kind>_ci95`, `<kind>_macro_miou`, counts, sources.

        with_masks: add the IoUs of each mask, which `from_json` reads back.
        """
        document: dict[str, Any] = {"num_masks": self.num_masks, "num_images": self.num_images}
        for kind in self.kinds:
            document[f"{kind}_miou"] = self.mean(kind)
            document[f"{kind}_macro_miou"] = self.macro(kind)
            document[f"{kind}_ci95"] = list(self.interval(kind))
        document["sources"] = {source: self._source_json(source) for source in self.sources}
        if with_masks:
            document["masks"] = [
                {"image": s.image_id, "mask": s.mask_id, "source": s.source, "ious": dict(s.ious)}
                for s in self.scores
            ]
        return document

    def _source_json(self, source: str) -> dict[str, float]:
        part = self.of_source(source)
        means = {f"{kind}_miou": part.mean(kind) for kind in self.kinds}
        return {"num_masks": part.num_masks, "num_images": part.num_images, **means}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Metrics:
        """Read what to_json(with_masks=True) wrote."""
        return cls(
            scores=tuple(
                MaskScore(
                    image_id=m["image"], mask_id=m["mask"], source=m["source"], ious=m["ious"]
                )
                for m in document["masks"]
            )
        )


def bootstrap_interval(
    values: FloatArray, *, groups: Sequence[str], seed: int = 0
) -> tuple[float, float]:
    """Return the 95 % interval of the mean of `values`, resampling whole groups.

    Masks of one image stand or fall together, so resampling masks would promise too much.
    """
    names, membership = np.unique(np.array(groups), return_inverse=True)
    sums = np.bincount(membership, weights=values, minlength=len(names))
    sizes = np.bincount(membership, minlength=len(names))
    generator = np.random.default_rng(seed)
    picks = generator.integers(0, len(names), size=(NUM_RESAMPLES, len(names)))
    means = sums[picks].sum(axis=1) / sizes[picks].sum(axis=1)
    low, high = np.quantile(means, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)


def paired_difference(a: Metrics, b: Metrics, *, kind: str = "clicks_1") -> Difference:
    """Compare two checkpoints on the masks that both were measured on: b minus a.

    Raises ValueError when they have no mask in common.
    """
    before = {(s.image_id, s.mask_id): s.ious[kind] for s in a.scores}
    pairs = [
        (score.image_id, score.ious[kind] - before[score.image_id, score.mask_id])
        for score in b.scores
        if (score.image_id, score.mask_id) in before
    ]
    if not pairs:
        raise ValueError("the two evaluations have no mask in common")
    changes = np.array([change for _, change in pairs])
    low, high = bootstrap_interval(changes, groups=[image_id for image_id, _ in pairs])
    return Difference(mean=float(changes.mean()), low=low, high=high, num_masks=len(pairs))
