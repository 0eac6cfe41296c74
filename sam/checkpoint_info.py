"""What a checkpoint says about itself, as lines for people; its weights are not read."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from math import prod
from pathlib import Path
from typing import Any

from sam.automatic.recommended_settings import RECOMMENDED_KEY
from sam.checkpoints.checkpoint_files import configuration, find, opened_model, read_header
from sam.checkpoints.official import OFFICIAL_FILES
from sam.tensor_files import is_safetensors

_ABSENT = "not stated"
_SHIPPED = Path(__file__).resolve().parent / "starter"
_LICENCE = "Apache-2.0"
"""Of this package, and so of the weights in it."""


def describe(path: str | Path) -> list[tuple[str, str]]:
    """Return labels and values: kind, sizes, licence, training, recommended settings.

    path: like that of checkpoints.load. Raises CheckpointError for what load refuses, but for
    values that are not finite: those are seen only when they are read.
    """
    path = find(path)
    config = configuration(path)
    lines = [
        ("file", f"{path} ({path.stat().st_size / 1e6:,.1f} MB)"),
        ("arch", f"{config.arch} at {config.image_size_px} px"),
    ]
    with opened_model(path) as file:
        sizes: defaultdict[str, int] = defaultdict(int)
        for name, shape in file.shapes.items():
            sizes[name.split(".")[0]] += prod(shape)
        lines += [(part, f"{size:,} values") for part, size in sorted(sizes.items())]
        if file.wrapper:
            lines.append(("unwrapped", file.wrapper))
        lines.append(("stored as", ", ".join(sorted(set(file.dtypes.values())))))
    metadata = _notes(path)
    automatic = metadata.pop(RECOMMENDED_KEY, None)
    for key in ("licence", "trained_on"):
        lines.append((_label(key), _value(metadata.pop(key, _ABSENT))))
    lines.append(("recommended", _value(automatic) if automatic else "the preset's settings"))
    card = path.parent / "MODEL_CARD.md"
    if card.is_file():
        lines.append(("model card", str(card)))
    return lines + list(_rest(metadata))


def licence_of(path: str | Path) -> str | None:
    """Return the licence of a checkpoint's weights, where it is known. Raises CheckpointError."""
    licence = _notes(find(path)).get("licence")
    return None if licence is None else _value(licence)


def _notes(path: Path) -> dict[str, Any]:
    shipped = {"licence": _LICENCE} if path.resolve().parent == _SHIPPED else {}
    return shipped | (read_header(path).metadata if is_safetensors(path) else _published(path))


def _published(path: Path) -> dict[str, Any]:
    official = {file.file_name: file for file in OFFICIAL_FILES.values()}.get(path.name)
    if official is None:
        return {}
    return {"licence": "Apache-2.0", "trained_on": "SA-1B", "from": official.url}


def _rest(metadata: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for key, value in sorted(metadata.items()):
        yield _label(key), _value(value)


def _label(key: str) -> str:
    return key.replace("_", " ")


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_value(item)}" for key, item in value.items())
    if isinstance(value, list):
        return ", ".join(_value(item) for item in value)
    return " ".join(str(value).split())
