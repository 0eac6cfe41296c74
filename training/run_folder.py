"""The folder of one training run: what is being run, its figures, and the state to resume from.

A run killed at any moment resumes from its last state and repeats the same steps exactly.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

IDENTITY_NAME = "config.json"
METRICS_NAME = "metrics.jsonl"
STATE_NAME = "state.pt"
MODEL_NAME = "model.safetensors"


class TrainError(ValueError):
    """Say in one sentence why a training run cannot start or go on."""


def file_sha256(path: Path) -> str:
    """Return the SHA-256 (hex) of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a temporary file beside `path`, then put it in place durably.

    A reader sees the old file or the whole new one, also after a power cut.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        write(temporary)
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFolder:
    """An opened run folder; `open_run` makes it."""

    path: Path

    @property
    def model_path(self) -> Path:
        return self.path / MODEL_NAME

    def save_state(self, state: Mapping[str, Any]) -> None:
        """Keep a state of tensors and plain values; it must hold the number of done steps."""
        if not isinstance(state.get("step"), int):
            raise TypeError("a state holds its step")
        write_atomically(self.path / STATE_NAME, lambda path: torch.save(dict(state), path))

    def load_state(self) -> dict[str, Any] | None:
        """Return the last saved state; None for a run that has saved none."""
        path = self.path / STATE_NAME
        if not path.exists():
            return None
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
            int(state["step"])
        except Exception as error:  # torch.load has no error class of its own
            raise TrainError(f"the saved state {path} cannot be read: {error!r}") from error
        return dict(state)

    def log(self, **figures: float | int | str) -> None:
        """Append one line of figures."""
        with (self.path / METRICS_NAME).open("a", encoding="utf-8") as file:
            file.write(json.dumps(figures) + "\n")

    def rewind_log(self, *, step: int) -> None:
        """Drop the figures of steps after `step` and a half-written last line."""
        path = self.path / METRICS_NAME
        kept = [line for line in _lines(path) if _step_of(line) <= step]
        text = "".join(f"{line}\n" for line in kept)
        write_atomically(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def open_run(path: Path, *, identity: Mapping[str, Any]) -> RunFolder:
    """Open or make the folder of the run that `identity` (plain JSON values) describes.

    TrainError when the folder holds another run: resuming it would mix the two.
    """
    path = Path(path)
    text = json.dumps(identity, indent=2, sort_keys=True) + "\n"
    identity_path = path / IDENTITY_NAME
    try:
        path.mkdir(parents=True, exist_ok=True)
        for left_over in path.glob(".*.tmp"):  # of a run killed while it was writing
            left_over.unlink()
        if not identity_path.exists():
            write_atomically(identity_path, lambda file: file.write_text(text, encoding="utf-8"))
            return RunFolder(path=path)
        known = json.loads(identity_path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise TrainError(f"cannot use the run folder {path}: {error}") from error
    differing = sorted(_differing_keys(known, json.loads(text)))
    if differing:
        raise TrainError(f"{path} holds another run: {', '.join(differing)} differ")
    return RunFolder(path=path)


def _differing_keys(known: Any, wanted: Any) -> set[str]:
    if not isinstance(known, dict):
        return {IDENTITY_NAME}
    return {key for key in known.keys() | wanted.keys() if known.get(key) != wanted.get(key)}


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines() if path.exists() else []


def _step_of(line: str) -> float:
    with suppress(ValueError, KeyError, TypeError):
        return float(json.loads(line)["step"])
    return float("inf")
