"""How far a running job is and how long it still takes, guessed from its own pace."""

from __future__ import annotations

from datetime import datetime

MIN_PROGRESS_PCT = 3  # below this the pace says nothing


def eta_s(
    *, progress_pct: float, started_at: datetime | None, finished_at: datetime | None, now: datetime
) -> float | None:
    """Seconds to the end at the average pace so far; None when not running or too early."""
    if started_at is None or finished_at is not None or progress_pct < MIN_PROGRESS_PCT:
        return None
    elapsed_s = max((now - started_at).total_seconds(), 0.0)
    return elapsed_s * (100.0 - min(progress_pct, 100.0)) / progress_pct


def duration(seconds: float) -> str:
    """Say a length of time in one or two units: 45 s, 3 min, 1 h 20 min."""
    if seconds < 60:
        return f"{max(round(seconds), 1)} s"
    minutes = round(seconds / 60)
    if minutes < 90:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min"


def progress_line(progress_pct: float, text: str, remaining_s: float | None) -> str:
    """One line for a running job: 42 % · epoch 3 of 8 · about 2 min left."""
    parts = [f"{progress_pct:.0f} %", text]
    if remaining_s is not None:
        parts.append(f"about {duration(remaining_s)} left")
    return " · ".join(part for part in parts if part)


def ago(then: datetime, *, now: datetime) -> str:
    """Say how long ago something was; older than a day, the date."""
    seconds = (now - then).total_seconds()
    if seconds < 10:
        return "just now"
    if seconds < 86_400:
        return f"{duration(seconds)} ago"
    return f"{then:%Y-%m-%d}"
