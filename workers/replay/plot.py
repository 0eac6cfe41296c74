"""The cost curve of a replay as a plot."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from training.evaluation.plots import load_matplotlib
from workers.replay.run import Replay

STAGE_NAMES = {
    "assisted_manual": "manual",
    "semi_automatic": "semi-\nautomatic",
    "fully_automatic": "automatic",
}


def write_plot(replay: Replay, out_dir: Path) -> Path:
    """Write `cost.png`: clicks and seconds a mask by round, and one click on the held-out folder.

    Raises PlotError without matplotlib.
    """
    pyplot: Any = load_matplotlib()
    labelled = [one for one in (r.figures() for r in replay.rounds) if one["seconds_per_mask"]]
    figure, (cost, quality) = pyplot.subplots(1, 2, figsize=(11, 4.2), layout="constrained")
    numbers = [one["round"] for one in labelled]
    names = [f"{one['round']}\n{STAGE_NAMES[one['stage']]}" for one in labelled]
    seconds = cost.bar(
        numbers, [one["seconds_per_mask"] for one in labelled], color="tab:blue", alpha=0.35
    )
    cost.bar_label(seconds, fmt="%.1f s", label_type="center")  # the line is near the tops
    cost.set(xlabel="round", ylabel="seconds a mask", xticks=numbers, xticklabels=names)
    clicks = cost.twinx()
    for key, style, label in (
        ("clicks_per_mask", {"marker": "o"}, "the round's model"),
        ("first_clicks_per_mask", {"linestyle": ":"}, "the first model, same masks"),
    ):
        drawn = [one for one in labelled if one[key] is not None]
        rounds, values = [one["round"] for one in drawn], [one[key] for one in drawn]
        clicks.plot(rounds, values, color="tab:red", label=label, **style)
    clicks.legend(loc="lower left", fontsize="small")
    clicks.set(ylabel="clicks a drawn mask (line)", ylim=(0, None))
    cost.set_title("Annotation cost")
    _draw_quality(quality, replay)
    out_dir.mkdir(parents=True, exist_ok=True)
    path = out_dir / "cost.png"
    figure.savefig(path, dpi=120)
    pyplot.close(figure)
    return path


def _draw_quality(axes: Any, replay: Replay) -> None:
    versions = sorted(replay.heldout)
    for key, label in (("clicks_1", "1 click"), ("clicks_5", "5 clicks"), ("box", "box")):
        values = [replay.heldout[version][key] for version in versions]
        axes.plot(range(len(versions)), values, marker="o", label=label)
    axes.set(
        xlabel="version that served",
        ylabel="mean IoU on the held-out folder",
        xticks=range(len(versions)),
        xticklabels=versions,
        ylim=(0, 1),
    )
    axes.grid(alpha=0.3)
    if versions:
        axes.legend()
    else:
        axes.text(0.5, 0.5, "no held-out folder was given", ha="center", transform=axes.transAxes)
    axes.set_title("Model quality")
