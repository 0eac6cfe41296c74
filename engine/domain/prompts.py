"""What an annotator did to make a mask: clicks, boxes, an earlier mask, brush strokes.

Same shapes as annotator_ui/frontend/src/core/prompts.ts. All coordinates are image pixels.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

from engine.domain.errors import InvalidInput
from engine.domain.policy import MAX_PROMPTS_PER_MASK

MARGIN_PX = 1.0
"""A click on the last pixel's far edge may round to just outside."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PointPrompt:
    type: ClassVar[str] = "point"
    x_px: float
    y_px: float
    label: int
    """1: inside the object, 0: outside."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BoxPrompt:
    type: ClassVar[str] = "box"
    x0_px: float
    y0_px: float
    x1_px: float
    y1_px: float


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskPrompt:
    """Refined from an existing mask."""

    type: ClassVar[str] = "mask"


@dataclass(frozen=True, slots=True, kw_only=True)
class StrokePrompt:
    """Pixels painted (brush) or removed (eraser) by hand."""

    type: str
    size_px: int
    strokes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EditPrompt:
    """Pixels changed by hand other than by strokes; `tool` is one of EDIT_TOOLS."""

    type: ClassVar[str] = "edit"
    tool: str
    times: int


EDIT_TOOLS = (
    "polygon",
    "lasso",
    "fill_holes",
    "largest_part",
    "merge",
    "subtract",
    "split",
    "overlap_cut",
)
Prompt = PointPrompt | BoxPrompt | MaskPrompt | StrokePrompt | EditPrompt


def parse_prompts(
    raw: Sequence[Mapping[str, Any]], *, width_px: int, height_px: int
) -> tuple[Prompt, ...]:
    """Read prompts of an image of that size. InvalidInput names the prompt and what is wrong."""
    if len(raw) > MAX_PROMPTS_PER_MASK:
        raise InvalidInput(f"a mask has at most {MAX_PROMPTS_PER_MASK} prompts, not {len(raw)}")
    prompts = []
    for index, one in enumerate(raw):
        try:
            prompts.append(_parse(one, width_px=width_px, height_px=height_px))
        except InvalidInput as error:
            raise InvalidInput(f"prompts[{index}]: {error.message}") from None
    return tuple(prompts)


def dump_prompts(prompts: Sequence[Prompt]) -> list[dict[str, Any]]:
    """Return the JSON form of prompts."""
    return [{"type": prompt.type, **asdict(prompt)} for prompt in prompts]


def num_clicks(prompts: Sequence[Mapping[str, Any]]) -> int:
    """Count the points and boxes of stored prompts; a box is one gesture."""
    return sum(prompt.get("type") in {"point", "box"} for prompt in prompts)


def _parse(raw: Mapping[str, Any], *, width_px: int, height_px: int) -> Prompt:
    if not isinstance(raw, Mapping):
        raise InvalidInput("a prompt is an object")
    parser = _PARSERS.get(str(raw.get("type")))
    if parser is None:
        raise InvalidInput(f"type must be one of {', '.join(_PARSERS)}, not {raw.get('type')!r}")
    return parser(_Fields(raw, width_px=width_px, height_px=height_px))


class _Fields:
    """Checked access to the fields of one prompt."""

    def __init__(self, raw: Mapping[str, Any], *, width_px: int, height_px: int) -> None:
        self._raw = raw
        self._size_px = {"x": width_px, "y": height_px}

    def coordinate(self, name: str) -> float:
        value = self._raw.get(name)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise InvalidInput(f"{name} must be a number")
        limit = self._size_px[name[0]]
        if not math.isfinite(value) or not -MARGIN_PX <= value <= limit + MARGIN_PX:
            raise InvalidInput(f"{name} = {value} lies outside the image (0 to {limit})")
        return float(value)

    def whole(self, name: str, *, low: int, high: int) -> int:
        value = self._raw.get(name)
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise InvalidInput(f"{name} must be a whole number from {low} to {high}")
        return value

    def text(self, name: str) -> str:
        return str(self._raw.get(name, ""))


def _point(fields: _Fields) -> Prompt:
    return PointPrompt(
        x_px=fields.coordinate("x_px"),
        y_px=fields.coordinate("y_px"),
        label=fields.whole("label", low=0, high=1),
    )


def _box(fields: _Fields) -> Prompt:
    box = BoxPrompt(
        x0_px=fields.coordinate("x0_px"),
        y0_px=fields.coordinate("y0_px"),
        x1_px=fields.coordinate("x1_px"),
        y1_px=fields.coordinate("y1_px"),
    )
    if box.x0_px > box.x1_px or box.y0_px > box.y1_px:
        raise InvalidInput("a box goes from its top left (x0, y0) to its bottom right (x1, y1)")
    return box


def _mask(fields: _Fields) -> Prompt:
    return MaskPrompt()


def _stroke(fields: _Fields) -> Prompt:
    return StrokePrompt(
        type=fields.text("type"),
        size_px=fields.whole("size_px", low=1, high=16_384),
        strokes=fields.whole("strokes", low=1, high=1_000_000),
    )


def _edit(fields: _Fields) -> Prompt:
    tool = fields.text("tool")
    if tool not in EDIT_TOOLS:
        raise InvalidInput(f"tool must be one of {', '.join(EDIT_TOOLS)}, not {tool!r}")
    return EditPrompt(tool=tool, times=fields.whole("times", low=1, high=1_000_000))


_PARSERS: Mapping[str, Callable[[_Fields], Prompt]] = {
    "point": _point,
    "box": _box,
    "mask": _mask,
    "brush": _stroke,
    "eraser": _stroke,
    "edit": _edit,
}
