"""Reading fields of plain forms: wrong ones are told in a sentence."""

from __future__ import annotations

from engine.domain.errors import InvalidInput


def whole_number(text: str, *, what: str) -> int:
    """Return a number that somebody typed. InvalidInput when it is none."""
    if not (text.isascii() and text.isdigit() and len(text) <= 9):
        raise InvalidInput(f"{what} must be a whole number")
    return int(text)
