"""What a person or a script points at, in pixels of the stored photo."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Point:
    """A click; label 1: on the object, 0: off it."""

    x_px: float
    y_px: float
    label: int = 1

    def to_json(self) -> dict[str, Any]:
        return {"type": "point", "x_px": self.x_px, "y_px": self.y_px, "label": self.label}


@dataclass(frozen=True, slots=True)
class Box:
    """Two opposite corners."""

    x0_px: float
    y0_px: float
    x1_px: float
    y1_px: float

    def to_json(self) -> dict[str, Any]:
        corners = {"x0_px": self.x0_px, "y0_px": self.y0_px}
        return {"type": "box", **corners, "x1_px": self.x1_px, "y1_px": self.y1_px}


Prompt = Point | Box
