"""Close-ups: overlapping squares of a photo that a model looks at one by one, larger.

Objects under a few cells of a model's map are lost on it. Level k cuts the photo into squares of
1/2^k of its long side that overlap by half, so any object that is small beside its square lies
whole within one. People's zoom and simulated annotators pick the same squares, so that an
encoded one serves everybody. The same rules in the browser: frontend/src/core/closeUps.ts; both
are pinned by tests/golden/close_ups.json.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

MIN_SIDE_PX = 96
"""Squares of fewer photo pixels show nothing more, only larger."""
MIN_OBJECT_SHARE = 1 / 16
"""Objects whose long side is a smaller share of the photo's, people look at closer: 32 px of a
512 px model, 8 of its finest cells. Measured on nuclei from 3 to 60 such pixels with the starter:
one click 0.56 whole, 0.67 with 1/16 or 1/21, 0.66 with 1/11."""

_KEY = re.compile(r"([1-9])-(\d{1,3})-(\d{1,3})")


class CloseUpError(ValueError):
    """Says which close-up a photo does not have."""


@dataclass(frozen=True, slots=True)
class CloseUp:
    """One square: level (1 is half the photo's long side), row and column of its grid."""

    level: int
    row: int
    column: int

    @property
    def key(self) -> str:
        """Its name in addresses and the database."""
        return f"{self.level}-{self.row}-{self.column}"

    @classmethod
    def parse(cls, key: str, *, image_hw: tuple[int, int]) -> CloseUp:
        """Read a key. CloseUpError when it is none, or the photo has no such square."""
        found = _KEY.fullmatch(key)
        if found is None:
            raise CloseUpError(f'"{key[:40]}" is no close-up; one is written level-row-column')
        level, row, column = (int(part) for part in found.groups())
        if level > max_level(image_hw):
            raise CloseUpError(
                f"a photo of this size has {max_level(image_hw)} levels of close-ups"
            )
        rows, columns = _grid(image_hw, level)
        if row >= rows or column >= columns:
            raise CloseUpError(f"level {level} has {rows} rows and {columns} columns of close-ups")
        return cls(level, row, column)

    def xywh_px(self, image_hw: tuple[int, int]) -> tuple[int, int, int, int]:
        """Left, top, width and height in the photo; narrow photos have narrow close-ups."""
        side = side_px(image_hw, self.level)
        height, width = image_hw
        x, w = _span(self.column, length=width, side=side)
        y, h = _span(self.row, length=height, side=side)
        return x, y, w, h


def max_level(image_hw: tuple[int, int]) -> int:
    """Return the deepest level whose squares have MIN_SIDE_PX; 0: the photo is too small."""
    level = 0
    while level < 9 and side_px(image_hw, level + 1) >= MIN_SIDE_PX:
        level += 1
    return level


def side_px(image_hw: tuple[int, int], level: int) -> int:
    """Return the side of a level's squares in photo pixels."""
    return -(-max(image_hw) // (1 << level))


def close_up_at(image_hw: tuple[int, int], level: int, *, x_px: float, y_px: float) -> CloseUp:
    """Return the square of a level whose middle is nearest to a place in the photo."""
    rows, columns = _grid(image_hw, level)
    side = side_px(image_hw, level)
    return CloseUp(level, _nearest(y_px, rows, side), _nearest(x_px, columns, side))


def close_up_for(
    bbox_xywh_px: tuple[float, float, float, float], *, image_hw: tuple[int, int]
) -> CloseUp | None:
    """Return where to look at an object with this box; None: in the whole photo.

    The shallowest level on which it is not small any more, or the deepest there is; the whole box
    lies in the square.
    """
    x, y, w, h = bbox_xywh_px
    share = max(w, h) / max(image_hw)
    level = 0
    while level < max_level(image_hw) and share * 2**level < MIN_OBJECT_SHARE:
        level += 1
    if level == 0:
        return None
    return close_up_at(image_hw, level, x_px=x + w / 2, y_px=y + h / 2)


def level_for_view(image_hw: tuple[int, int], *, seen_px: float) -> int:
    """Return the level for a person who sees so many pixels of the photo's long side.

    Its squares are the smallest that are no smaller than what is seen.
    """
    level = 0
    while level < max_level(image_hw) and side_px(image_hw, level + 1) >= seen_px:
        level += 1
    return level


def _grid(image_hw: tuple[int, int], level: int) -> tuple[int, int]:
    side = side_px(image_hw, level)
    rows, columns = (1 - -max(0, length - side) // _step(side) for length in image_hw)
    return rows, columns


def _step(side: int) -> int:
    return side // 2


def _span(number: int, *, length: int, side: int) -> tuple[int, int]:
    start = min(number * _step(side), max(0, length - side))
    return start, min(side, length - start)


def _nearest(place_px: float, count: int, side: int) -> int:
    return min(count - 1, max(0, int((place_px - side / 2) / _step(side) + 0.5)))
