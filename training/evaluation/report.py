"""Evaluations for people: tables of means with their intervals, and comparisons."""

from __future__ import annotations

from collections.abc import Sequence

from training.detector.detector_metrics import ImageDetections, detection_metrics, metrics_by_source
from training.evaluation.metrics import Metrics, paired_difference

NAME_WIDTH = 22
PREDICTIONS = (("clicks_1", "predicted_1"), ("box", "predicted_box"))
"""Kinds of IoU and the figures that predict them."""
NOTE = "± is half the width of the 95 % bootstrap interval; whole images are resampled."


def table(metrics: Metrics) -> str:
    """Return the IoUs by source and over all, and below them whatever else was measured."""
    blocks = [_block(metrics, metrics.kinds, title="IoU")]
    if metrics.figures:
        blocks.append(_block(metrics, metrics.figures, title="other measures"))
    pairs = [(kind, name) for kind, name in PREDICTIONS if name in metrics.figures]
    if pairs:
        blocks.append(_calibration(metrics, pairs))
    return "\n\n".join([*blocks, NOTE])


def _calibration(metrics: Metrics, pairs: Sequence[tuple[str, str]]) -> str:
    """Return how predicted IoU goes with true IoU, by source and over all masks."""
    heads = [f"{kind + ' ' + what:>18}" for kind, _ in pairs for what in ("correlat.", "error")]
    lines = [f"{'predicted IoU':{NAME_WIDTH}} {'images':>6} {'masks':>6} {' '.join(heads)}"]
    parts = [(source, metrics.of_source(source)) for source in metrics.sources]
    for name, part in [*parts, ("all masks", metrics)]:
        found = [part.calibration(kind, predicted) for kind, predicted in pairs]
        cells = [f"{value:.3f}" for one in found for value in (one.correlation, one.error)]
        lines.append(_row(name, part, cells, [len(head) for head in heads]))
    return "\n".join(lines)


def detector_table(images: Sequence[ImageDetections]) -> str:
    """Return box recall and average precision by source and over all."""
    names = {"recall_50_at_100": "recall@100", "ap_50": "AP50"}
    head = " ".join(f"{name:>10}" for name in names.values())
    lines = [f"{'boxes at IoU 0.5':{NAME_WIDTH}} {'images':>6} {'boxes':>6} {head}"]
    by_source, over_all = metrics_by_source(images), detection_metrics(images)
    macro = {
        name: sum(part[name] for part in by_source.values()) / max(len(by_source), 1)
        for name in names
    }
    rows = {**by_source, "mean over sources": over_all | macro, "all boxes": over_all}
    for name, part in rows.items():
        figures = " ".join(f"{part[key]:10.3f}" for key in names)
        counts = f"{part['num_images']:6.0f} {part['num_boxes']:6.0f}"
        lines.append(f"{name[:NAME_WIDTH]:{NAME_WIDTH}} {counts} {figures}")
    return "\n".join(lines)


def comparison(earlier: Metrics, metrics: Metrics) -> str:
    """Return how IoUs changed on the masks of both, with 95 % intervals."""
    lines = ["against the earlier evaluation, on the same masks:"]
    for kind in metrics.kinds:
        if kind in earlier.kinds:
            change = paired_difference(earlier, metrics, kinds=(kind,))
            lines.append(f"  {kind:10} {change.mean:+.3f}  [{change.low:+.3f}, {change.high:+.3f}]")
    return "\n".join(lines)


def _block(metrics: Metrics, names: Sequence[str], *, title: str) -> str:
    widths = [max(len(name), 10) for name in names]
    head = " ".join(f"{name:>{width}}" for name, width in zip(names, widths, strict=True))
    lines = [f"{title:{NAME_WIDTH}} {'images':>6} {'masks':>6} {head}"]
    for source in metrics.sources:
        part = metrics.of_source(source)
        cells = [_cell(part.mean(name), part.interval(name)) for name in names]
        lines.append(_row(source, part, cells, widths))
    macro = [_cell(metrics.macro(name), metrics.macro_interval(name)) for name in names]
    lines.append(_row("mean over sources", metrics, macro, widths))
    mean = [_cell(metrics.mean(name), metrics.interval(name)) for name in names]
    lines.append(_row("mean over masks", metrics, mean, widths))
    return "\n".join(lines)


def _cell(value: float, interval: tuple[float, float]) -> str:
    return f"{value:.3f}±{(interval[1] - interval[0]) / 2:.2f}"


def _row(name: str, part: Metrics, cells: Sequence[str], widths: Sequence[int]) -> str:
    figures = " ".join(f"{cell:>{width}}" for cell, width in zip(cells, widths, strict=True))
    return f"{name[:NAME_WIDTH]:{NAME_WIDTH}} {part.num_images:6} {part.num_masks:6} {figures}"
