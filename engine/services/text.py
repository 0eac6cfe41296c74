"""Short texts from outside, made safe to store and show."""

from __future__ import annotations

from engine.domain.errors import InvalidInput


def clean_line(text: str, *, what: str, max_characters: int, required: bool = False) -> str:
    """Return the text as one trimmed line without control characters.

    InvalidInput when it is too long, or empty though required.
    """
    line = " ".join("".join(one if one.isprintable() else " " for one in text).split())
    if len(line) > max_characters:
        raise InvalidInput(f"{what} has at most {max_characters} characters, not {len(line)}")
    if required and not line:
        raise InvalidInput(f"{what} must not be empty")
    return line
