"""Tensors in files from elsewhere: what a file holds is checked before memory is taken for it.

Reads safetensors and the zip files of torch.save, writes safetensors; nothing in a file is ever
executed.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_safetensors
from torch import Tensor

MAX_FILE_BYTES = 16 << 30  # the largest official model has 2.6e9
_MAX_PICKLE_BYTES = 16 << 20  # names and shapes only: the largest official model needs 1e5
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

    Reading is from the mapped file: memory is taken for one tensor at a time.
    """

    name: str
    shapes: Mapping[str, tuple[int, ...]]
    dtypes: Mapping[str, str]
    read: Callable[[str], Tensor]

    def read_fitting(self, expected: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Read exactly the expected tensors as copies: float32, and integers as they are.

        expected: tensors of the wanted shapes, for instance on the meta device. Raises
        CheckpointError for missing, unknown or misshapen tensors and wrong types, before any is
        read, and for values that are not finite.
        """
        self._check_fit(expected)
        return {name: self._read_copy(name) for name in expected}

    def _check_fit(self, expected: Mapping[str, Tensor]) -> None:
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
        tensors = _torch_tensors(path)
        yield TensorFile(
            path.name,
            {name: tuple(tensor.shape) for name, tensor in tensors.items()},
            {name: str(tensor.dtype).removeprefix("torch.") for name, tensor in tensors.items()},
            tensors.__getitem__,
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


def _torch_tensors(path: Path) -> dict[str, Tensor]:
    """Return the flat table of tensors in a torch.save file, mapped and not yet read."""
    try:
        _check_zip(path)
        loaded = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except CheckpointError:
        raise
    except Exception as error:  # zipfile and torch raise many kinds; all mean the same here
        raise CheckpointError(
            f"{path.name} is not a readable checkpoint: {reason(error)}"
        ) from None
    if not isinstance(loaded, dict) or not all(
        isinstance(name, str) and isinstance(tensor, Tensor) and tensor.layout == torch.strided
        for name, tensor in loaded.items()
    ):
        raise CheckpointError(f"{path.name} is not a flat table of tensors")
    return loaded


def _check_zip(path: Path) -> None:
    """Refuse what torch.save never writes: then nothing in the file unfolds to more than it."""
    if not zipfile.is_zipfile(path):
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
