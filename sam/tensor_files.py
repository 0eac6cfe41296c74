"""Tensors in files from elsewhere: what a file holds is checked before memory is taken for it.

Reads safetensors and the zip files of torch.save, writes safetensors; nothing in a file is ever
executed.
"""

from __future__ import annotations

import json
import pickle
import re
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_safetensors
from torch import Tensor

MAX_FILE_BYTES = 16 << 30  # the largest official model has 2.6e9
_MAX_PICKLE_BYTES = 16 << 20  # names and shapes only: the largest official model needs 1e5
_BEFORE_ZIP = pickle.dumps(torch.serialization.MAGIC_NUMBER, protocol=2)  # how such files begin
_FLOATS = ("float32", "float16", "bfloat16")
_SAFETENSORS_TYPES = {"F32": "float32", "F16": "float16", "BF16": "bfloat16", "I64": "int64"}


class CheckpointError(ValueError):
    """A model file that cannot be read or does not fit; the message says why."""


def safetensors_bytes(tensors: dict[str, Tensor], header: dict[str, str]) -> bytes:
    """Write a safetensors file; equal tensors and headers make equal files.

    The library leaves the header's entries in any order, so they are sorted here.
    """
    data: bytes = to_safetensors(tensors, header)
    end = 8 + int.from_bytes(data[:8], "little")
    start = json.loads(data[8:end])
    start["__metadata__"] = dict(sorted(start["__metadata__"].items()))
    text = json.dumps(start, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + data[end:]


@dataclass(frozen=True, slots=True)
class TensorFile:
    """An open file: the shape and type of every tensor in it, and how to read one.

    Reading is from the mapped file: memory is taken for one tensor at a time. wrapper: what lies
    around the table of tensors, in words; empty for a bare one.
    """

    name: str
    shapes: Mapping[str, tuple[int, ...]]
    dtypes: Mapping[str, str]
    read: Callable[[str], Tensor]
    wrapper: str = ""

    def without_prefix(self, prefix: str) -> TensorFile:
        """Return the file with names less a prefix; names without it stay.

        Raises CheckpointError when two names become one.
        """
        if not prefix:
            return self
        stored = {name.removeprefix(prefix): name for name in self.shapes}
        if len(stored) < len(self.shapes):
            raise CheckpointError(f"{self.name} holds tensors twice: with {prefix} and without")
        wrapper = ", ".join(filter(None, [self.wrapper, f"names after {_printable(prefix)}"]))
        return replace(
            self,
            shapes={name: self.shapes[key] for name, key in stored.items()},
            dtypes={name: self.dtypes[key] for name, key in stored.items()},
            read=lambda name: self.read(stored[name]),
            wrapper=wrapper,
        )

    def read_fitting(self, expected: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Read exactly the expected tensors as copies: float32, and integers as they are.

        expected: tensors of the wanted shapes, for instance on the meta device. Raises
        CheckpointError for missing, unknown or misshapen tensors and wrong types, before any is
        read, and for values that are not finite.
        """
        self.check_fit(expected)
        return {name: self._read_copy(name) for name in expected}

    def check_fit(self, expected: Mapping[str, Tensor]) -> None:
        """Raise CheckpointError unless there are exactly the expected tensors; none is read."""
        missing = sorted(expected.keys() - self.shapes.keys())
        extra = sorted(self.shapes.keys() - expected.keys())
        if missing or extra:
            raise CheckpointError(
                f"{self.name} does not fit its configuration: {len(missing)} tensors missing, "
                f"{len(extra)} unknown, first {_printable((missing or extra)[0])}"
            )
        for name, tensor in expected.items():
            if self.shapes[name] != tuple(tensor.shape):
                raise CheckpointError(
                    f"{self.name}: {name} has shape {self.shapes[name]}, "
                    f"expected {tuple(tensor.shape)}"
                )
            integer = str(tensor.dtype).removeprefix("torch.")
            wanted = _FLOATS if tensor.is_floating_point() else (integer,)
            if self.dtypes[name] not in wanted:
                raise CheckpointError(
                    f"{self.name}: {name} has type {_printable(self.dtypes[name])}, "
                    f"expected {' or '.join(wanted)}"
                )

    def _read_copy(self, name: str) -> Tensor:
        try:
            stored = self.read(name)
        except (SafetensorError, OSError, RuntimeError) as error:
            raise CheckpointError(f"{self.name}: {name} cannot be read: {reason(error)}") from None
        # A copy: what was read is a view into the mapped file, unaligned and tied to its fate.
        dtype = torch.float32 if stored.is_floating_point() else stored.dtype
        tensor = stored.to(dtype, copy=True).contiguous()
        # The extremes are NaN when any value is; unlike isfinite this makes no second tensor.
        if tensor.numel() and not all(torch.isfinite(end) for end in torch.aminmax(tensor)):
            raise CheckpointError(f"{self.name}: {name} holds NaN or infinite values")
        return tensor


def is_safetensors(path: Path) -> bool:
    """Say whether a file begins like safetensors. Raises CheckpointError for what is no file."""
    if path.is_dir():
        raise CheckpointError(f"{path} is a folder, not a checkpoint")
    if not path.is_file():
        raise CheckpointError(f"there is no checkpoint at {path}")
    try:
        with path.open("rb") as file:
            start = file.read(9)
        size_bytes = path.stat().st_size
    except OSError as error:
        raise CheckpointError(f"{path} cannot be opened: {error.strerror}") from None
    if len(start) < 9:
        raise CheckpointError(f"{path.name} is too short to be a checkpoint")
    if size_bytes > MAX_FILE_BYTES:
        raise CheckpointError(f"{path.name} has {size_bytes:,} bytes, too many for a checkpoint")
    return start[8:9] == b"{"


@contextmanager
def opened(path: Path) -> Iterator[TensorFile]:
    """Open a safetensors file or an official .pth file. Raises CheckpointError."""
    if not is_safetensors(path):
        tensors, wrapper = _torch_tensors(path)
        yield TensorFile(
            path.name,
            {name: tuple(tensor.shape) for name, tensor in tensors.items()},
            {name: str(tensor.dtype).removeprefix("torch.") for name, tensor in tensors.items()},
            tensors.__getitem__,
            wrapper,
        )
        return
    try:
        file: Any = safe_open(path, framework="pt")
    except (SafetensorError, OSError) as error:
        raise CheckpointError(
            f"{path.name} is not a readable safetensors file: {reason(error)}"
        ) from None
    with file:
        slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118
        yield TensorFile(
            path.name,
            {name: tuple(part.get_shape()) for name, part in slices.items()},
            {
                name: _SAFETENSORS_TYPES.get(part.get_dtype(), str(part.get_dtype()))
                for name, part in slices.items()
            },
            file.get_tensor,
        )


def reason(error: BaseException) -> str:
    """Return the first line of another library's complaint."""
    return _printable((str(error).splitlines() or [type(error).__name__])[0], limit=200)


def _torch_tensors(path: Path) -> tuple[dict[str, Tensor], str]:
    """Return the table of tensors in a torch.save file, mapped and not yet read, and its wrapper.

    The table is the file itself or, as trainers write it beside their own state, one entry of it.
    """
    try:
        _check_zip(path)
        loaded = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except CheckpointError:
        raise
    except Exception as error:  # zipfile and torch raise many kinds; all mean the same here
        raise CheckpointError(f"{path.name} is not a readable checkpoint: {_why(error)}") from None
    if _is_table(loaded):
        return loaded, ""
    tables = []
    if isinstance(loaded, dict):
        tables = [key for key, value in loaded.items() if isinstance(key, str) and _is_table(value)]
    if not tables:
        raise CheckpointError(
            f"{path.name} is not a flat table of tensors, and holds none by itself or under a name "
            "like model or state_dict: save the model's state_dict() with torch.save"
        )
    if len(tables) > 1:
        shown = ", ".join(_printable(key) for key in sorted(tables)[:5])
        largest = _printable(max(tables, key=lambda key: len(loaded[key])))
        raise CheckpointError(
            f"{path.name} holds {len(tables)} tables of tensors ({shown}), and only one can be the "
            f'model: save it alone, torch.save(torch.load("{path.name}", weights_only=True)'
            f'["{largest}"], "model.pth")'
        )
    return loaded[tables[0]], f"the table {_printable(tables[0])}"


def _is_table(value: object) -> bool:
    return (
        isinstance(value, dict)
        and len(value) > 0
        and all(
            isinstance(name, str) and isinstance(tensor, Tensor) and tensor.layout == torch.strided
            for name, tensor in value.items()
        )
    )


def _why(error: Exception) -> str:
    """Return a line about what torch would not read; its own first line is about torch."""
    if found := re.search(r"GLOBAL (\S+) was not an allowed global", str(error)):
        return (
            f"it holds Python objects ({_printable(found[1])}), which could run code and are not "
            "read; save the model's state_dict() alone with torch.save"
        )
    return reason(error)


def _check_zip(path: Path) -> None:
    """Refuse what torch.save never writes: then nothing in the file unfolds to more than it."""
    if not zipfile.is_zipfile(path):
        with path.open("rb") as file:
            start = file.read(len(_BEFORE_ZIP))
        if start == _BEFORE_ZIP:
            raise CheckpointError(
                f"{path.name} has the file format of PyTorch before 1.6, which cannot be checked "
                f'before it is read; write it anew: torch.save(torch.load("{path.name}", '
                'map_location="cpu", weights_only=True), "model.pth")'
            )
        raise CheckpointError(
            f"{path.name} is not a readable checkpoint: neither safetensors nor a torch.save file"
        )
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
    if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
        raise CheckpointError(f"{path.name} is not a readable checkpoint: it is compressed")
    if sum(entry.file_size for entry in entries) > path.stat().st_size:
        raise CheckpointError(f"{path.name} is not a readable checkpoint: its entries overlap")
    pickles = [entry for entry in entries if entry.filename.endswith(".pkl")]
    if sum(entry.file_size for entry in pickles) > _MAX_PICKLE_BYTES:
        raise CheckpointError(f"{path.name} is not a readable checkpoint: its table is too large")


def _printable(text: str, limit: int = 120) -> str:
    return "".join(char if char.isprintable() else "?" for char in text[:limit])
