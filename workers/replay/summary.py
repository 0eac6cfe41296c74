"""What a replay shows: falling annotation cost, rising quality, automatic masks at the end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from engine.domain.stages import StageKind
from workers.replay.run import Replay

MIN_CLICK_FALL = 0.40
MIN_EFFORT_FALL = 0.25
MIN_AGREEMENT = 0.80


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A goal of a replay and whether it is met; None when the replay has no such figure."""

    name: str
    text: str
    value: float | None
    is_met: bool | None


def findings(replay: Replay) -> list[Finding]:
    """Return the findings on cost, held-out quality and the automatic masks of the last stage."""
    rounds = [one.figures() for one in replay.rounds]
    manual = [one for one in rounds if one["stage"] == StageKind.ASSISTED_MANUAL]
    semi = [one for one in rounds if one["stage"] == StageKind.SEMI_AUTOMATIC]
    return [
        _fall(
            manual[0]["clicks_per_mask"],
            manual[-1]["clicks_per_mask"],
            name="clicks_fall",
            what="clicks a mask, first to last assisted-manual round",
            least=MIN_CLICK_FALL,
        ),
        _fall(
            manual[-1]["first_clicks_per_mask"],
            manual[-1]["clicks_per_mask"],
            name="clicks_fall_on_the_same_masks",
            what="clicks a mask of the last assisted-manual round, first model to its own",
            least=MIN_CLICK_FALL,
        ),
        _rises(rounds, replay.heldout),
        _fall(
            manual[-1]["seconds_per_mask"],
            semi[-1]["seconds_per_mask"],
            name="effort_fall",
            what="seconds a mask, last assisted-manual to last semi-automatic round",
            least=MIN_EFFORT_FALL,
        ),
        _agreement(rounds[-1]),
    ]


def _fall(
    before: float | None, after: float | None, *, name: str, what: str, least: float
) -> Finding:
    if not before or after is None:
        return Finding(name=name, text=f"{what}: not measured", value=None, is_met=None)
    fall = 1 - after / before
    return Finding(
        name=name,
        text=f"{what}: {before:.2f} to {after:.2f}, {fall:.0%} saved (goal {least:.0%})",
        value=fall,
        is_met=fall >= least,
    )


def _rises(
    rounds: Sequence[Mapping[str, Any]], heldout: Mapping[int, Mapping[str, Any]]
) -> Finding:
    name = "heldout_rises"
    steps = [
        (heldout[one["model_version"]]["clicks_1"], heldout[one["candidate_version"]]["clicks_1"])
        for one in rounds
        if one["is_promoted"]
        and one["model_version"] in heldout
        and one["candidate_version"] in heldout
    ]
    if not steps:
        text = "held-out folder, one click: nothing was promoted and measured"
        return Finding(name=name, text=text, value=None, is_met=None)
    changes = [after - before for before, after in steps]
    shown = " -> ".join(f"{value:.3f}" for value in [steps[0][0], *(after for _, after in steps)])
    return Finding(
        name=name,
        text=f"held-out folder, one click, by promoted version: {shown} (goal: every step up)",
        value=min(changes),
        is_met=min(changes) > 0,
    )


def _agreement(last: Mapping[str, Any]) -> Finding:
    value, recall, precision = (
        last[f"automatic_{name}"] for name in ("agreement", "recall", "precision")
    )
    name = "automatic_agreement"
    if value is None:
        text = "automatic masks: none pairs with a true mask"
        return Finding(name=name, text=text, value=None, is_met=False)
    return Finding(
        name=name,
        text=(
            f"automatic masks paired with true ones, at IoU > 0.75: {value:.0%} "
            f"(goal {MIN_AGREEMENT:.0%}); that is a recall of {recall:.2f} at precision "
            f"{precision:.2f}"
        ),
        value=value,
        is_met=value >= MIN_AGREEMENT,
    )
