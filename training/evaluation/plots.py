"""An evaluation as images: IoU against clicks by source, and all kinds of prompt together."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

from training.evaluation.metrics import Metrics


class PlotError(ImportError):
    """Images need a package that is not installed."""


def load_matplotlib() -> ModuleType:
    """Return pyplot, drawing to files only; PlotError says how to get it."""
    try:
        import matplotlib as mpl
    except ImportError:
        raise PlotError("plots need matplotlib: pip install matplotlib") from None
    mpl.use("Agg")
    from matplotlib import pyplot

    module: ModuleType = pyplot
    return module


def write_plots(metrics: Metrics, folder: Path) -> list[Path]:
    """Write `clicks.png` and `prompts.png`; bars and bands are 95 % intervals.

    Raises PlotError without matplotlib.
    """
    pyplot: Any = load_matplotlib()
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / "clicks.png", folder / "prompts.png"]
    for path, draw in zip(paths, (_draw_clicks, _draw_prompts), strict=True):
        figure, axes = pyplot.subplots(figsize=(8, 5), layout="constrained")
        draw(axes, metrics)
        figure.savefig(path, dpi=120)
        pyplot.close(figure)
    return paths


def _draw_clicks(axes: Any, metrics: Metrics) -> None:
    kinds = [kind for kind in metrics.kinds if kind.startswith("clicks_")]
    clicks = [int(kind.removeprefix("clicks_")) for kind in kinds]
    for source in metrics.sources:
        part = metrics.of_source(source)
        axes.plot(clicks, [part.mean(kind) for kind in kinds], alpha=0.5, lw=1, label=source)
    means = [metrics.macro(kind) for kind in kinds]
    lows, highs = zip(*[metrics.macro_interval(kind) for kind in kinds], strict=True)
    axes.fill_between(clicks, lows, highs, color="black", alpha=0.15)
    axes.plot(clicks, means, color="black", lw=2.5, marker="o", label="mean over sources")
    axes.set(xlabel="clicks", ylabel="mean IoU", ylim=(0, 1), xticks=clicks)
    axes.legend(fontsize="small", ncols=2)
    axes.grid(alpha=0.3)


def _draw_prompts(axes: Any, metrics: Metrics) -> None:
    kinds = metrics.kinds
    means = [metrics.macro(kind) for kind in kinds]
    intervals = [metrics.macro_interval(kind) for kind in kinds]
    spread = [
        [max(0.0, mean - low) for mean, (low, _) in zip(means, intervals, strict=True)],
        [max(0.0, high - mean) for mean, (_, high) in zip(means, intervals, strict=True)],
    ]
    axes.bar(kinds, means, yerr=spread, capsize=3, color="tab:blue")
    axes.set(ylabel="mean IoU over sources", ylim=(0, 1))
    axes.tick_params(axis="x", rotation=30)
    axes.grid(axis="y", alpha=0.3)
