"""Stored files, named by content: a key is `<kind>/<aa>/<sha256><suffix>`.

Immutable: the same bytes have the same key, so writing twice is harmless. Everybody outside uses
keys; where and how the bytes are kept (today DATA_DIR/files) is known here alone. Who needs a path,
for a library that opens files by name, asks for a local copy, reads it and does not keep the path.
"""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from typing import IO

from django.conf import settings

from engine.domain.errors import NotFound

CHUNK_BYTES = 1 << 20
_KEY = re.compile(r"[a-z_]{1,32}/([0-9a-f]{2})/\1[0-9a-f]{62}(\.[a-z0-9]{1,12}){0,2}")
_KIND = re.compile(r"[a-z_]{1,32}")


def put_bytes(kind: str, data: bytes, suffix: str) -> str:
    """Store bytes durably and return their key."""
    key = _key(kind, hashlib.sha256(data).hexdigest(), suffix)
    target = _root() / key
    if not target.exists():
        with _temporary(target.parent) as file:
            file.write(data)
            _publish(file, target)
    return key


def put_file(kind: str, path: Path, suffix: str) -> str:
    """Store a copy of a file durably and return its key. Reads the file once, in chunks."""
    digest = hashlib.sha256()
    with path.open("rb") as source, _temporary(_root() / _checked_kind(kind)) as copy:
        while chunk := source.read(CHUNK_BYTES):
            digest.update(chunk)
            copy.write(chunk)
        key = _key(kind, digest.hexdigest(), suffix)
        _publish(copy, _root() / key)
    return key


def open(key: str) -> BufferedReader:
    """Open a stored file for reading.

    Raises:
        NotFound: the key is malformed, or its file is missing.
    """
    return _path_of(key).open("rb")


def read_bytes(key: str) -> bytes:
    """Return the stored bytes. Raises NotFound as `open` does."""
    return _path_of(key).read_bytes()


def local_copy(key: str) -> Path:
    """Return a path on this machine that holds the stored bytes, to be read and never written.

    Raises:
        NotFound: the key is malformed, or its file is missing.
    """
    return _path_of(key)


def reference(key: str) -> str:
    """Return how a stored text file names another stored file: its key, relative to the text file.

    So whoever reads a local copy beside local copies finds it, wherever the store lies.
    """
    if not _KEY.fullmatch(key):
        raise NotFound(f"there is no stored file {key!r}", code="file_missing")
    return f"../../{key}"


def sha256_of(key: str) -> str:
    """Return the SHA-256 that is part of the key."""
    return key.rsplit("/", 1)[1][:64]


def is_intact(key: str) -> bool:
    """Tell whether the stored bytes are still those that were kept; NotFound when they are gone."""
    with open(key) as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == sha256_of(key)


def _path_of(key: str) -> Path:
    path = _root() / key
    if not _KEY.fullmatch(key) or not path.is_file():
        raise NotFound(f"there is no stored file {key!r}", code="file_missing")
    return path


def _root() -> Path:
    return Path(settings.DATA_DIR) / "files"


def _checked_kind(kind: str) -> str:
    if not _KIND.fullmatch(kind):
        raise ValueError(f"not a kind of file: {kind!r}")
    return kind


def _key(kind: str, sha256: str, suffix: str) -> str:
    key = f"{_checked_kind(kind)}/{sha256[:2]}/{sha256}{suffix}"
    if not _KEY.fullmatch(key):
        raise ValueError(f"not a suffix of a stored file: {suffix!r}")
    return key


@contextmanager
def _temporary(folder: Path) -> Iterator[IO[bytes]]:
    """Open a scratch file beside its final place; it is gone afterwards unless published."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=folder, prefix=".tmp-", delete=False) as file:
        try:
            yield file
        finally:
            Path(file.name).unlink(missing_ok=True)


def _publish(file: IO[bytes], target: Path) -> None:
    file.flush()
    os.fchmod(file.fileno(), 0o644)  # scratch files are 0600; another user may serve these
    os.fsync(file.fileno())
    target.parent.mkdir(parents=True, exist_ok=True)
    Path(file.name).replace(target)
    for folder in (target.parent, target.parent.parent):
        _fsync_folder(folder)


def _fsync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
