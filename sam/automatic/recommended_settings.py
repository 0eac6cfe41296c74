"""What a checkpoint's header recommends for automatic masks: the one home of that advice.

A model rates its own masks, so thresholds belong to weights: a model made of another one carries
the other's advice on until its own is fitted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from sam.automatic.automatic_settings import AutomaticSettings
from sam.checkpoints.checkpoint_files import find, read_header, rewrite_metadata
from sam.tensor_files import is_safetensors

RECOMMENDED_KEY = "automatic"
_SETTINGS = tuple(item.name for item in fields(AutomaticSettings))
_NOT_ADVISED = ("points_per_batch", "band")
"""What says nothing about a model."""


class RecommendedSettingsError(ValueError):
    """Settings that cannot be used; the message says why."""


def recommended_in(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that a header's metadata recommends; empty when it says nothing.

    What is no setting of this version is left out.
    """
    found = metadata.get(RECOMMENDED_KEY)
    known = found if isinstance(found, Mapping) else {}
    return {name: known[name] for name in _SETTINGS if name in known}


def recommended_by(path: str | Path) -> dict[str, Any]:
    """Return what a checkpoint recommends; official files say nothing. Raises CheckpointError."""
    path = find(path)
    return recommended_in(read_header(path).metadata) if is_safetensors(path) else {}


def carried_on(path: str | Path) -> dict[str, Any]:
    """Return the part of a new checkpoint's metadata that carries the advice of its start."""
    recommended = recommended_by(path)
    return {RECOMMENDED_KEY: recommended} if recommended else {}


def with_recommended(base: AutomaticSettings, *later: Mapping[str, Any]) -> AutomaticSettings:
    """Return settings with advice and whatever overrides it, the later one winning.

    Raises RecommendedSettingsError.
    """
    values = asdict(base)
    for changes in later:
        values |= changes
    try:
        return AutomaticSettings(**values)
    except (TypeError, ValueError) as error:
        raise RecommendedSettingsError(f"the settings cannot be used: {error}") from None


def write_recommended(path: Path, out: Path, settings: AutomaticSettings) -> dict[str, Any]:
    """Copy one of our checkpoints with other advice: what differs from the released settings.

    Returns what was written. Raises CheckpointError.
    """
    released = asdict(AutomaticSettings())
    recommended = {
        name: value
        for name, value in asdict(settings).items()
        if value != released[name] and name not in _NOT_ADVISED
    }
    rewrite_metadata(path, out, {RECOMMENDED_KEY: recommended})
    return recommended
