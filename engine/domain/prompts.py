"""What an annotator did to make a mask: clicks, boxes, an earlier mask, brush strokes.

The only definition of a prompt: the API takes these models, tables keep their JSON, and the
TypeScript types and the Python client are generated from them. Coordinates are image pixels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from engine.domain.errors import InvalidInput
from engine.domain.limits import MAX_PROMPTS_PER_MASK

MARGIN_PX = 1.0
"""A click on the last pixel's far edge may round to just outside."""

Coordinate = Annotated[float, Field(ge=-1e6, le=1e6, allow_inf_nan=False)]


class _Prompt(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PointPrompt(_Prompt):
    """A click; label 1: on the object, 0: off it."""

    type: Literal["point"] = "point"
    x_px: Coordinate
    y_px: Coordinate
    label: Literal[0, 1]


class BoxPrompt(_Prompt):
    """A box from its top left to its bottom right corner."""

    type: Literal["box"] = "box"
    x0_px: Coordinate
    y0_px: Coordinate
    x1_px: Coordinate
    y1_px: Coordinate


class MaskPrompt(_Prompt):
    """The mask was refined from an existing one."""

    type: Literal["mask"] = "mask"


class StrokePrompt(_Prompt):
    """Pixels painted (brush) or removed (eraser) by hand."""

    type: Literal["brush", "eraser"]
    size_px: Annotated[int, Field(ge=1, le=16_384)]
    strokes: Annotated[int, Field(ge=1, le=1_000_000)]


class EditPrompt(_Prompt):
    """Pixels changed by hand other than by strokes."""

    type: Literal["edit"] = "edit"
    tool: Literal[
        "polygon",
        "lasso",
        "fill_holes",
        "largest_part",
        "merge",
        "subtract",
        "split",
        "overlap_cut",
    ]
    times: Annotated[int, Field(ge=1, le=1_000_000)]


AnyPrompt = PointPrompt | BoxPrompt | MaskPrompt | StrokePrompt | EditPrompt
Prompt = Annotated[AnyPrompt, Field(discriminator="type")]
TYPES = tuple(
    name for kind in get_args(AnyPrompt) for name in get_args(kind.model_fields["type"].annotation)
)
_ADAPTER: TypeAdapter[Prompt] = TypeAdapter(Prompt)


def parse_prompts(
    raw: Sequence[Prompt | Mapping[str, Any]], *, width_px: int, height_px: int
) -> tuple[Prompt, ...]:
    """Check prompts against the image they belong to.

    Args:
        raw: prompts, or their JSON objects; prompts are not validated again.
        width_px, height_px: size of the image.

    Raises:
        InvalidInput: names the prompt, its field and what is wrong.
    """
    if len(raw) > MAX_PROMPTS_PER_MASK:
        raise InvalidInput(f"a mask has at most {MAX_PROMPTS_PER_MASK} prompts, not {len(raw)}")
    prompts = []
    for index, one in enumerate(raw):
        try:
            prompt = _ADAPTER.validate_python(one)
            _require_inside(prompt, width_px=width_px, height_px=height_px)
        except ValidationError as error:
            raise InvalidInput(f"prompts[{index}]: {_described(error)}") from None
        except InvalidInput as error:
            raise InvalidInput(f"prompts[{index}]: {error.message}") from None
        prompts.append(prompt)
    return tuple(prompts)


def dump_prompts(prompts: Sequence[Prompt]) -> list[dict[str, Any]]:
    """Return the JSON form of prompts."""
    return [prompt.model_dump() for prompt in prompts]


def num_clicks(prompts: Sequence[Mapping[str, Any]]) -> int:
    """Count the points and boxes of stored prompts; a box is one gesture."""
    return sum(prompt.get("type") in {"point", "box"} for prompt in prompts)


def _require_inside(prompt: Prompt, *, width_px: int, height_px: int) -> None:
    limits = {"x_px": width_px, "x0_px": width_px, "x1_px": width_px}
    limits |= {"y_px": height_px, "y0_px": height_px, "y1_px": height_px}
    for name, limit in limits.items():
        value = getattr(prompt, name, 0.0)
        if not -MARGIN_PX <= value <= limit + MARGIN_PX:
            raise InvalidInput(f"{name} = {value:g} lies outside the image (0 to {limit})")
    if isinstance(prompt, BoxPrompt) and (
        prompt.x0_px > prompt.x1_px or prompt.y0_px > prompt.y1_px
    ):
        raise InvalidInput("a box goes from its top left (x0, y0) to its bottom right (x1, y1)")


def _described(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_context=True)[0]
    if first["type"] in {"union_tag_invalid", "union_tag_not_found"}:
        return f"type must be one of {', '.join(TYPES)}"
    field = ".".join(str(part) for part in first["loc"][1:]) or "a prompt"
    if first["type"] == "literal_error":
        return f"{field} must be {first['ctx']['expected']}"
    return f"{field}: {first['msg']}"
