"""The folder of one training run: what is being run, its figures, and the state to resume from.

A run killed at any moment resumes from its last state and repeats the same steps exactly. Files
are whole or absent; figures are lines, of which a resumed run drops those after its state.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_safetensors
from torch import Tensor

from sam.checkpoints.checkpoint_files import write_atomically
from training.loop.event_file import event_bytes, start_bytes

IDENTITY_NAME = "config.json"
METRICS_NAME = "metrics.jsonl"
EVENTS_NAME = "events.out.tfevents.segloop"
PROBLEMS_NAME = "problems.txt"
STATE_NAME = "state.safetensors"
MODEL_NAME = "model.safetensors"
RENAMED_KEYS = {"close_ups_per_image": "crops_per_image"}
"""Old names of keys in the config.json of runs that began before they were renamed."""


class TrainError(ValueError):
    """Say in one sentence why a training run cannot start or go on."""


def file_sha256(path: Path) -> str:
    """Return the SHA-256 (hex) of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def explain_unwritable(path: Path) -> Iterator[None]:
    """Turn a failure to write `path` into a TrainError of one sentence (a full disk, mostly)."""
    try:
        yield
    except OSError as error:
        raise TrainError(
            f"cannot write {path}: {error.strerror or error}; "
            "what was saved before is whole, and the same command resumes from it"
        ) from error


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedState:
    """What a run resumes from: tensors by name, done steps, seconds of all sittings."""

    tensors: Mapping[str, Tensor]
    step: int
    elapsed_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFolder:
    """An opened run folder; `open_run` makes it."""

    path: Path

    @property
    def model_path(self) -> Path:
        return self.path / MODEL_NAME

    def save_state(self, state: SavedState) -> None:
        """Replace the saved state. Raises TrainError when the disk does not take it."""
        path = self.path / STATE_NAME
        tensors = {k: v.detach().to("cpu").contiguous() for k, v in state.tensors.items()}
        header = {"step": str(state.step), "elapsed_s": repr(state.elapsed_s)}
        with explain_unwritable(path):
            write_atomically(path, to_safetensors(tensors, header))

    def load_state(self) -> SavedState | None:
        """Return the last saved state; None for a run that has saved none."""
        path = self.path / STATE_NAME
        if not path.exists():
            return None
        try:
            with safe_open(path, framework="pt") as file:
                header = file.metadata() or {}
                names = list(file.keys())
                return SavedState(
                    tensors={name: file.get_tensor(name).clone() for name in names},
                    step=int(header["step"]),
                    elapsed_s=float(header["elapsed_s"]),
                )
        except (OSError, SafetensorError, KeyError, ValueError) as error:
            raise TrainError(f"the saved state {path} cannot be read: {error!r}") from error

    def log(self, **figures: float | int | str) -> None:
        """Append one line of figures, and the same as an event for TensorBoard."""
        line = {"time": round(time.time(), 3), **figures}
        path = self.path / METRICS_NAME
        with explain_unwritable(path):
            with path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
            with (self.path / EVENTS_NAME).open("ab") as events:
                events.write(event_bytes(line))

    def figures(self) -> list[dict[str, Any]]:
        """Return the figures of the steps so far; a half-written last line is left out."""
        return [line for line in map(_parsed, _lines(self.path / METRICS_NAME)) if line]

    def rewind_log(self, *, step: int) -> None:
        """Drop the figures of steps after `step` and a half-written last line."""
        kept = [line for line in self.figures() if line["step"] <= step]
        text = "".join(f"{json.dumps(line)}\n" for line in kept)
        events = start_bytes() + b"".join(event_bytes(line) for line in kept)
        with explain_unwritable(self.path / METRICS_NAME):
            write_atomically(self.path / METRICS_NAME, text.encode())
            write_atomically(self.path / EVENTS_NAME, events)

    def note_problems(self, problems: Sequence[str]) -> None:
        """Keep one sentence about each thing that was left out, for people to read."""
        path = self.path / PROBLEMS_NAME
        with explain_unwritable(path):
            write_atomically(path, "".join(f"{line}\n" for line in problems).encode())


def open_run(path: Path, *, identity: Mapping[str, Any]) -> RunFolder:
    """Open or make the folder of the run that `identity` (plain JSON values) describes.

    TrainError when the folder holds another run: resuming it would mix the two.
    """
    path = Path(path)
    text = json.dumps(identity, indent=2, sort_keys=True) + "\n"
    identity_path = path / IDENTITY_NAME
    try:
        path.mkdir(parents=True, exist_ok=True)
        _remove_left_overs(path)
        if not identity_path.exists():
            if (path / STATE_NAME).exists():
                raise TrainError(
                    f"{path} holds the state of a run, but its {IDENTITY_NAME} is gone, so nobody "
                    "knows which run: name another folder, or delete this one"
                )
            write_atomically(identity_path, text.encode())
            return RunFolder(path=path)
        known = _with_new_names(json.loads(identity_path.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise TrainError(f"cannot use the run folder {path}: {error}") from error
    differing = sorted(_differing_keys(known, json.loads(text)))
    if differing:
        raise TrainError(f"{path} holds another run: {', '.join(differing)} differ")
    return RunFolder(path=path)


def _remove_left_overs(path: Path) -> None:
    """Remove the temporary files of a run that was killed while it was writing."""
    known = (IDENTITY_NAME, METRICS_NAME, EVENTS_NAME, PROBLEMS_NAME, "*.safetensors", "*.onnx")
    for name in known:
        for left_over in path.glob(f".{name}.*"):
            left_over.unlink()
    for left_over in path.glob("features/.*.safetensors.*"):
        left_over.unlink()


def _with_new_names(value: Any) -> Any:
    """Return an identity with keys as they are written today."""
    if isinstance(value, dict):
        return {RENAMED_KEYS.get(key, key): _with_new_names(item) for key, item in value.items()}
    return value


def _differing_keys(known: Any, wanted: Any) -> set[str]:
    if not isinstance(known, dict):
        return {IDENTITY_NAME}
    return {key for key in known.keys() | wanted.keys() if known.get(key) != wanted.get(key)}


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines() if path.exists() else []


def _parsed(line: str) -> dict[str, Any] | None:
    with suppress(ValueError, KeyError, TypeError):
        figures: dict[str, Any] = json.loads(line)
        float(figures["step"])
        return figures
    return None
