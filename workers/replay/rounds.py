"""Which round happens in which stage, and what a round cost and brought."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from engine.domain.stages import StageKind
from workers.replay.dataset import ReplayError

MIN_ROUNDS = len(StageKind)


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundPlan:
    """A round labels (or, at the end, masks automatically) so many new photos."""

    number: int
    stage: StageKind
    num_images: int


def plan_rounds(*, num_images: int, num_rounds: int) -> list[RoundPlan]:
    """Share photos evenly among the rounds: manual ones, semi-automatic ones, one automatic.

    ReplayError when there are fewer than three rounds, or too few photos for them: the first
    round needs two, so that there is one to learn from and one to be measured on.
    """
    if num_rounds < MIN_ROUNDS:
        raise ReplayError(f"a replay has at least {MIN_ROUNDS} rounds, one a stage")
    if num_images < num_rounds + 1:
        raise ReplayError(f"{num_rounds} rounds need at least {num_rounds + 1} photos")
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
    """Running sums of a round's labelling."""

    num_images: int = 0
    num_drawn: int = 0
    num_clicks: int = 0
    num_brushed: int = 0
    num_accepted: int = 0
    num_rejected: int = 0
    seconds: float = 0.0
    ious_by_clicks: list[float] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Retrain:
    """What became of the round's candidate. mIoUs are of one click on the held-out side."""

    version: int
    status: str
    is_promoted: bool
    reasons: tuple[str, ...]
    clicks_1_miou: float
    serving_clicks_1_miou: float


@dataclass(frozen=True, slots=True, kw_only=True)
class AutomaticFigures:
    """Automatic masks against the truth, matched one to one at IoU > 0.75."""

    num_masks: int
    num_truths: int
    num_matched: int

    @property
    def recall(self) -> float:
        return self.num_matched / self.num_truths if self.num_truths else 0.0

    @property
    def matched_share(self) -> float:
        return self.num_matched / self.num_masks if self.num_masks else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """One line of the report."""

    number: int
    stage: str
    model_version: int
    tally: Tally
    retrain: Retrain | None = None
    automatic: AutomaticFigures | None = None

    def figures(self) -> dict[str, Any]:
        """Return the line as plain values; None where the round has no such figure."""
        tally, retrain, automatic = self.tally, self.retrain, self.automatic
        num_masks = tally.num_drawn + tally.num_accepted
        ious = tally.ious_by_clicks
        return {
            "round": self.number,
            "stage": self.stage,
            "model_version": self.model_version,
            "images": tally.num_images,
            "masks_drawn": tally.num_drawn,
            "masks_accepted": tally.num_accepted,
            "masks_rejected": tally.num_rejected,
            "clicks_per_mask": tally.num_clicks / tally.num_drawn if tally.num_drawn else None,
            "brushed_share": tally.num_brushed / tally.num_drawn if tally.num_drawn else None,
            "seconds_per_mask": tally.seconds / num_masks if num_masks else None,
            "iou_before_brush": sum(ious) / len(ious) if ious else None,
            "candidate_version": retrain.version if retrain else None,
            "candidate_clicks_1_miou": retrain.clicks_1_miou if retrain else None,
            "serving_clicks_1_miou": retrain.serving_clicks_1_miou if retrain else None,
            "is_promoted": retrain.is_promoted if retrain else None,
            "reasons": list(retrain.reasons) if retrain else [],
            "automatic_masks": automatic.num_masks if automatic else None,
            "automatic_recall": automatic.recall if automatic else None,
            "automatic_matched_share": automatic.matched_share if automatic else None,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportCheck:
    """Whether the dataset that went out holds what the oracle left, beside automatic masks."""

    num_saved: int
    num_exported: int
    num_equal: int

    def to_json(self) -> dict[str, int]:
        return asdict(self)
