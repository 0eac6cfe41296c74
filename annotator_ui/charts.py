"""Small charts as numbers for an SVG template: no script, no library, one set of colours."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 380, 200
LEFT, RIGHT, TOP, BOTTOM = 44, 12, 12, 38
"""Units of the view box; the page scales it."""
NUM_TICKS = 4
NICE_STEPS = (1, 2, 2.5, 5, 10)


@dataclass(frozen=True, slots=True)
class Tick:
    at: float
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Dot:
    """A value with its interval; `low_y` and `high_y` are equal to `y` without one."""

    x: float
    y: float
    low_y: float
    high_y: float
    told: str
    is_emphasised: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """`tone` is a class of the style sheet (series-1, ...); `path` joins the dots."""

    name: str
    tone: str
    path: str
    dots: Sequence[Dot]


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """`says` is the chart in one sentence, for who does not see it."""

    says: str
    y_title: str
    x_title: str
    series: Sequence[Series]
    x_ticks: Sequence[Tick]
    y_ticks: Sequence[Tick]
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    right: int = WIDTH - RIGHT
    top: int = TOP
    bottom: int = HEIGHT - BOTTOM


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """A point to draw: `interval` is (low, high) or None."""

    x: float
    y: float
    interval: tuple[float, float] | None = None
    told: str = ""
    is_emphasised: bool = False


def curve_chart(
    lines: Mapping[str, Sequence[tuple[float, float]]], *, says: str, y_title: str
) -> Chart | None:
    """Lines over the steps of a training; None without a point."""
    values = {
        name: [Value(x=x, y=y) for x, y in points] for name, points in lines.items() if points
    }
    steps = [value.x for one in values.values() for value in one]
    if not steps:
        return None
    x_ticks = nice_ticks(0, max(steps), whole=True)
    return _chart(values, says=says, y_title=y_title, x_title="step", x_ticks=x_ticks, dotted=False)


def version_chart(
    values: Mapping[str, Sequence[Value]], *, says: str, y_title: str, numbers: Sequence[int]
) -> Chart | None:
    """Values by model version, side by side; None without one."""
    kept = {name: one for name, one in values.items() if one}
    if not kept:
        return None
    shown = numbers[:: max(1, math.ceil(len(numbers) / 12))]
    x_ticks = [(float(number), f"v{number}") for number in shown]
    return _chart(
        kept, says=says, y_title=y_title, x_title="model version", x_ticks=x_ticks, dotted=True
    )


def nice_ticks(low: float, high: float, *, whole: bool = False) -> list[tuple[float, str]]:
    """Round figures that enclose low to high, with their texts."""
    span = max(high - low, 1e-9)
    rough = span / NUM_TICKS
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * nice for nice in NICE_STEPS if power * nice >= rough * 0.999)
    if whole:
        step = max(1.0, math.ceil(step))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    places = 0 if whole else max(0, -math.floor(math.log10(step) + 1e-9) + (step * 4 % 1 > 0))
    places = min(places, 3)
    return [(n * step, f"{n * step:.{places}f}") for n in range(first, max(last, first + 1) + 1)]


def _chart(
    values: Mapping[str, Sequence[Value]],
    *,
    says: str,
    y_title: str,
    x_title: str,
    x_ticks: Sequence[tuple[float, str]],
    dotted: bool,
) -> Chart:
    every = [value for one in values.values() for value in one]
    lows = [value.interval[0] if value.interval else value.y for value in every]
    highs = [value.interval[1] if value.interval else value.y for value in every]
    y_ticks = nice_ticks(min(lows), max(highs))
    frame = _Frame(
        x_from=x_ticks[0][0] - (0.5 if dotted else 0),
        x_to=max(x_ticks[-1][0], max(value.x for value in every)) + (0.5 if dotted else 0),
        y_from=y_ticks[0][0],
        y_to=y_ticks[-1][0],
    )
    series = []
    for place, (name, one) in enumerate(values.items()):
        nudge = (place - (len(values) - 1) / 2) * 7 if dotted else 0.0
        dots = [frame.dot(value, nudge=nudge) for value in one]
        path = " ".join(f"{dot.x:.1f},{dot.y:.1f}" for dot in dots)
        tone = f"series-{place + 1}"
        shown = dots if dotted or len(dots) == 1 else []
        series.append(Series(name=name, tone=tone, path=path, dots=shown))
    return Chart(
        says=says,
        y_title=y_title,
        x_title=x_title,
        series=series,
        x_ticks=[Tick(frame.x(at), text) for at, text in x_ticks],
        y_ticks=[Tick(frame.y(at), text) for at, text in y_ticks],
    )


@dataclass(frozen=True, slots=True)
class _Frame:
    """From figures to units of the view box."""

    x_from: float
    x_to: float
    y_from: float
    y_to: float

    def x(self, value: float) -> float:
        share = (value - self.x_from) / max(self.x_to - self.x_from, 1e-9)
        return round(LEFT + share * (WIDTH - LEFT - RIGHT), 1)

    def y(self, value: float) -> float:
        share = (value - self.y_from) / max(self.y_to - self.y_from, 1e-9)
        return round(HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM), 1)

    def dot(self, value: Value, *, nudge: float) -> Dot:
        low, high = value.interval or (value.y, value.y)
        return Dot(
            x=round(self.x(value.x) + nudge, 1),
            y=self.y(value.y),
            low_y=self.y(low),
            high_y=self.y(high),
            told=value.told,
            is_emphasised=value.is_emphasised,
        )
