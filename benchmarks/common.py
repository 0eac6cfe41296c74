"""What the scripts share: interleaved timing, a table, and a word about the machine."""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch
from PIL import Image

SAMPLE_IMAGE = Path(__file__).parents[1] / "engine" / "samples" / "01-coffee.jpg"


def machine() -> str:
    """Say what this ran on."""
    name = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        lines = [line for line in info.read_text().splitlines() if line.startswith("model name")]
        name = lines[0].split(":", 1)[1].strip() if lines else name
    load = os.getloadavg()[0]
    return (
        f"{datetime.now(UTC):%Y-%m-%d}, {name}, {torch.get_num_threads()} threads, "
        f"torch {torch.__version__}, load before {load:.1f}"
    )


def in_turn(
    sides: Mapping[str, Callable[[], object]], *, rounds: int, burst: int = 1
) -> dict[str, list[float]]:
    """Time every side `burst` times after a warm-up, round after round; seconds by side.

    A burst keeps one library's waiting threads out of the other's way.
    """
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, run in sides.items():
            run()
            for _ in range(burst):
                started = time.perf_counter()
                run()
                seconds[name].append(time.perf_counter() - started)
    return seconds


def table(title: str, seconds: Mapping[str, list[float]], *, peer: str, unit_s: float = 1.0) -> str:
    """Format medians and how many times as fast as the peer each side is."""
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    unit = {1.0: "s", 1e-3: "ms"}[unit_s]
    rows = [
        f"  {name:34s} {median / unit_s:9.2f} {unit}   "
        f"[{min(seconds[name]) / unit_s:.2f} to {max(seconds[name]) / unit_s:.2f}]   "
        f"{medians[peer] / median:5.2f} x"
        for name, median in medians.items()
    ]
    return "\n".join([f"{title} (median [range], times as fast as {peer})", *rows])


def sample_pixels(width_px: int, height_px: int) -> np.ndarray:
    """Return the sample image at a size, RGB uint8."""
    with Image.open(SAMPLE_IMAGE) as file:
        return np.asarray(file.convert("RGB").resize((width_px, height_px)))
