"""The starter that ships with this installation: its files, and what they say of themselves.

Nothing of projects: which of them has it is in selectors/starter.py.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from django.conf import settings

from engine.domain.errors import InvalidInput
from engine.safetensors_header import ModelHeader, read_model_header

SAM_FILE = "starter.safetensors"
DETECTOR_FILE = "detector.safetensors"
DECODER_FILE = "decoder.onnx"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFile:
    path: Path
    sha256: str
    header: ModelHeader


@dataclass(frozen=True, slots=True, kw_only=True)
class Starter:
    """A SAM, its decoder for browsers, and the detector of its encoder when one came along."""

    sam: ModelFile
    decoder: Path
    detector: ModelFile | None


def shipped_starter() -> Starter | None:
    """Return the starter; None while its SAM or decoder is missing or cannot be read.

    Cheap to ask at each page: a file is read again only when it has changed.
    """
    folder = Path(settings.STARTER_DIR)
    sam, detector = _model_file(folder / SAM_FILE), _model_file(folder / DETECTOR_FILE)
    decoder = folder / DECODER_FILE
    if sam is None or not _is_file(decoder):
        return None
    if detector is not None and detector.header.encoder_sha256 != sam.header.encoder_sha256:
        detector = None  # made for another encoder: of no use beside this SAM
    return Starter(sam=sam, decoder=decoder, detector=detector)


def _model_file(path: Path) -> ModelFile | None:
    try:
        seen = path.stat()
        return _read(path, seen.st_ino, seen.st_mtime_ns, seen.st_size)
    except (OSError, InvalidInput):
        return None


@lru_cache(maxsize=8)
def _read(path: Path, *_: int) -> ModelFile:
    """Read a file as it was at a moment; the further arguments tell the moments apart."""
    header = read_model_header(path)
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return ModelFile(path=path, sha256=sha256, header=header)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a folder that may not be entered
        return False
