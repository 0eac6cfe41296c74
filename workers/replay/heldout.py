"""Measure a version on a folder that no model of the replay learns from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from engine.models import ModelVersion
from engine.stop_flag import StopFlag
from training.evaluation.evaluate import Measures, evaluate
from workers.inference.registry import sam_of
from workers.replay.oracle import GOOD_ENOUGH_IOU, MAX_CLICKS
from workers.replay.session import require_not_stopped

CLICKS = (1, 3, 5)
CLICKS_TO_GOAL = f"clicks_to_{round(100 * GOOD_ENOUGH_IOU)}"


def measure(
    version: ModelVersion,
    folder: Path,
    *,
    masks_per_image: int,
    on_progress: Callable[[str], object],
    stop: StopFlag,
) -> dict[str, Any]:
    """Measure a version on the held-out folder, always on the same masks.

    Returns:
        `clicks_1`, `clicks_1_macro`, `clicks_3`, `clicks_5`, `box` (mean IoUs), the clicks to the
        oracle's goal, and one click and box by source.
    """

    def on_evaluated(fraction: float, message: str, **_: float) -> None:
        require_not_stopped(stop)
        on_progress(f"version {version.number} on {folder.name}: {fraction:.0%}, {message}")

    found = evaluate(
        sam_of(version),
        folder,
        clicks=CLICKS,
        measures=Measures(iou_goals=(GOOD_ENOUGH_IOU,), max_clicks=MAX_CLICKS),
        max_masks_per_image=masks_per_image,
        crops_per_image=masks_per_image,  # the oracle labels in them too
        on_progress=on_evaluated,
    )
    names = [*(f"clicks_{k}" for k in CLICKS), "box", CLICKS_TO_GOAL]
    return {
        **{name: found.mean(name) for name in names},
        "clicks_1_macro": found.macro("clicks_1"),
        "num_masks": found.num_masks,
        "by_source": {
            source: {name: found.of_source(source).mean(name) for name in ("clicks_1", "box")}
            for source in found.sources
        },
    }
