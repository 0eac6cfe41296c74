"""The plan of the rounds, and the cost and results of a round."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from engine.domain.stages import StageKind
from workers.replay.dataset import ReplayError

MIN_ROUNDS = len(StageKind)


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundPlan:
    """A round labels (or, at the end, masks automatically) `num_images` new images."""

    number: int
    stage: StageKind
    num_images: int


def plan_rounds(*, num_images: int, num_rounds: int) -> list[RoundPlan]:
    """Share images evenly among the rounds: manual ones, semi-automatic ones, one automatic.

    The first round needs two images: one to learn from and one to be measured on.

    Raises:
        ReplayError: There are fewer than three rounds, or too few images for them.
    """
    if num_rounds < MIN_ROUNDS:
        raise ReplayError(f"a replay has at least {MIN_ROUNDS} rounds, one a stage")
    if num_images < num_rounds + 1:
        raise ReplayError(f"{num_rounds} rounds need at least {num_rounds + 1} images")
    num_manual = num_rounds // 2
    stages = [StageKind.ASSISTED_MANUAL] * num_manual
    stages += [StageKind.SEMI_AUTOMATIC] * (num_rounds - num_manual - 1)
    stages.append(StageKind.FULLY_AUTOMATIC)
    share, rest = divmod(num_images, num_rounds)
    return [
        RoundPlan(number=place + 1, stage=stage, num_images=share + (1 if place < rest else 0))
        for place, stage in enumerate(stages)
    ]


@dataclass(slots=True, kw_only=True)
class Tally:
    """Sums over labelled images.

    num_first_clicks: Clicks that the first round's model would have needed for the same masks.
    """

    num_images: int = 0
    num_drawn: int = 0
    num_clicks: int = 0
    num_first_clicks: int = 0
    num_brushed: int = 0
    num_crops: int = 0
    num_accepted: int = 0
    num_rejected: int = 0
    seconds: float = 0.0
    ious_by_clicks: list[float] = field(default_factory=list)

    @classmethod
    def total(cls, parts: Iterable[Tally]) -> Tally:
        """Add tallies up."""
        sums = cls()
        for part in parts:
            for name, value in asdict(part).items():
                setattr(sums, name, getattr(sums, name) + value)
        return sums

    def figures(self) -> dict[str, Any]:
        """Return sums and means as plain values; None where there is nothing to take a mean of."""
        num_masks = self.num_drawn + self.num_accepted
        proposed = self.num_accepted + self.num_rejected
        drawn = self.num_drawn or None
        return {
            "images": self.num_images,
            "masks_drawn": self.num_drawn,
            "masks_in_crops": self.num_crops,
            "masks_accepted": self.num_accepted,
            "masks_rejected": self.num_rejected,
            "accept_rate": self.num_accepted / proposed if proposed else None,
            "clicks_per_mask": self.num_clicks / drawn if drawn else None,
            "first_clicks_per_mask": (
                self.num_first_clicks / drawn if drawn and self.num_first_clicks else None
            ),
            "brushed_share": self.num_brushed / drawn if drawn else None,
            "seconds_per_mask": self.seconds / num_masks if num_masks else None,
            "iou_before_brush": (
                sum(self.ious_by_clicks) / len(self.ious_by_clicks) if self.ious_by_clicks else None
            ),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Retrain:
    """The outcome of the round's training. mIoUs are of one click on the held-out split."""

    version: int
    status: str
    is_promoted: bool
    reasons: tuple[str, ...]
    clicks_1_miou: float
    serving_clicks_1_miou: float


@dataclass(slots=True, kw_only=True)
class AutomaticFigures:
    """Automatic masks against the truth, paired one to one at IoU >= 0.5, best pair first.

    num_good: pairs whose IoU is above 0.75, where the paper's audit calls two masks alike.
    """

    num_masks: int = 0
    num_truths: int = 0
    num_pairs: int = 0
    num_good: int = 0

    def add(self, other: AutomaticFigures) -> None:
        """Add the figures of further images."""
        for name, value in asdict(other).items():
            setattr(self, name, getattr(self, name) + value)

    def figures(self) -> dict[str, Any]:
        """Return counts and shares as plain values.

        agreement: of the pairs, those that are good. recall, precision: good pairs over true
        masks, over automatic masks; a true object may lack a true mask, so precision is a bound.
        """
        return {
            "automatic_masks": self.num_masks,
            "automatic_pairs": self.num_pairs,
            "automatic_agreement": self.num_good / self.num_pairs if self.num_pairs else None,
            "automatic_recall": self.num_good / self.num_truths if self.num_truths else None,
            "automatic_precision": self.num_good / self.num_masks if self.num_masks else None,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """One line of the report."""

    number: int
    stage: str
    model_version: int
    by_source: Mapping[str, Tally]
    retrain: Retrain | None = None
    automatic: Mapping[str, AutomaticFigures] | None = None
    """By source."""

    def figures(self) -> dict[str, Any]:
        """Return the line as plain values; None where the round has no such figure."""
        retrain = self.retrain
        automatic = AutomaticFigures()
        for one in (self.automatic or {}).values():
            automatic.add(one)
        none = dict.fromkeys(automatic.figures())
        return {
            "round": self.number,
            "stage": self.stage,
            "model_version": self.model_version,
            **Tally.total(self.by_source.values()).figures(),
            "candidate_version": retrain.version if retrain else None,
            "candidate_clicks_1_miou": retrain.clicks_1_miou if retrain else None,
            "serving_clicks_1_miou": retrain.serving_clicks_1_miou if retrain else None,
            "is_promoted": retrain.is_promoted if retrain else None,
            "reasons": list(retrain.reasons) if retrain else [],
            **(none if self.automatic is None else automatic.figures()),
        }

    def by_source_figures(self) -> dict[str, dict[str, Any]]:
        """Return labelling and automatic figures of each source."""
        automatic = self.automatic or {}
        return {
            source: {
                **tally.figures(),
                **(automatic[source].figures() if source in automatic else {}),
            }
            for source, tally in sorted(self.by_source.items())
        }

    def to_json(self) -> dict[str, Any]:
        """Return all of it as plain values, which `from_json` reads."""
        return asdict(self)

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Round:
        retrain, automatic = stored["retrain"], stored["automatic"]
        return cls(
            number=stored["number"],
            stage=stored["stage"],
            model_version=stored["model_version"],
            by_source={name: Tally(**tally) for name, tally in stored["by_source"].items()},
            retrain=Retrain(**{**retrain, "reasons": tuple(retrain["reasons"])})
            if retrain
            else None,
            automatic=None
            if automatic is None
            else {name: AutomaticFigures(**one) for name, one in automatic.items()},
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportCheck:
    """Whether the exported dataset holds what the oracle saved, beside automatic masks."""

    num_saved: int
    num_exported: int
    num_equal: int

    def to_json(self) -> dict[str, int]:
        return asdict(self)
