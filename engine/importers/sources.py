"""Open a folder or a zip archive of unknown origin. Nothing is ever unpacked to a named file."""

from __future__ import annotations

import os
import re
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, Any

from engine.domain.errors import InvalidInput
from engine.importers.records import File, RefusedItem, Source

MAX_FILES = 200_000
MAX_NAME_CHARACTERS = 400
MAX_RATIO = 200
"""No image or annotation file deflates so well; a bomb does (zeros: 1000 to 1)."""
FREE_BYTES = 1 << 20
"""Small files may deflate as they like."""
CHUNK_BYTES = 1 << 20
BOMB = "the archive inflates to more than it may"
ARCHIVE_SUFFIXES = {".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar", ".zst"}
CLUTTER = re.compile(r"(^|/)(__MACOSX/|\.DS_Store$|Thumbs\.db$|\._)")
_DRIVE = re.compile(r"^[A-Za-z]:")
_END_BYTES = 22 + 65_535
_READ_ERRORS = (zipfile.BadZipFile, zlib.error, OSError, EOFError, NotImplementedError, ValueError)


def open_source(path: Path, *, max_unpacked_bytes: int) -> Source:
    """Open what lies at the path. InvalidInput when it is neither a folder nor a sane zip."""
    if path.is_dir():
        return FolderSource(path)
    if not path.is_file():
        raise InvalidInput(f"{path}: there is no such folder or file")
    return ZipSource(path, max_unpacked_bytes=max_unpacked_bytes)


class FolderSource:
    """Every regular file below a folder, in the order of their names. Links are not followed."""

    def __init__(self, root: Path) -> None:
        self.files: list[File] = []
        self.refused: list[RefusedItem] = []
        for path in _walk(root):
            name = path.relative_to(root).as_posix()
            if CLUTTER.search(name):
                continue
            if len(self.files) >= MAX_FILES:
                raise InvalidInput(f"{root}: it holds more than {MAX_FILES} files")
            found = path.lstat()
            if not stat.S_ISREG(found.st_mode):
                self.refused.append(RefusedItem(name=name, reason="it is a link or no plain file"))
                continue
            read = partial(_read_path, path, name)
            self.files.append(File(name=name, size_bytes=found.st_size, read=read))

    def close(self) -> None:
        """There is nothing to close."""


class ZipSource:
    """The sound members of a zip archive; each is read into memory, bounded, when asked for."""

    def __init__(self, path: Path, *, max_unpacked_bytes: int) -> None:
        check_directory(path)
        try:
            self._zip = zipfile.ZipFile(path)
        except _READ_ERRORS as error:
            raise InvalidInput(f"{path.name}: it is not a zip archive ({error})") from None
        # Overlapping members claim little each and inflate the same bytes again and again.
        self._budget_bytes = min(
            max_unpacked_bytes, max(MAX_RATIO * path.stat().st_size, 64 * FREE_BYTES)
        )
        self.files: list[File] = []
        self.refused: list[RefusedItem] = []
        names: set[str] = set()
        for member in self._zip.infolist():
            if member.is_dir() or CLUTTER.search(member.filename):
                continue
            reason = refusal_of(member, known_names=names)
            names.add(member.filename)
            if reason:
                name = member.filename[:MAX_NAME_CHARACTERS]
                self.refused.append(RefusedItem(name=name, reason=reason))
                continue
            read = partial(self._read, member)
            self.files.append(File(name=member.filename, size_bytes=member.file_size, read=read))
        self.files.sort(key=lambda one: one.name)

    def close(self) -> None:
        self._zip.close()

    def _read(self, member: zipfile.ZipInfo, limit: int) -> bytes:
        if self._budget_bytes < 0:  # not even looked into any more
            raise InvalidInput(f"{member.filename}: {BOMB}")
        try:
            with self._zip.open(member) as file:
                data = _read_bounded(file, limit, name=member.filename)
        except RuntimeError as error:  # encrypted after all
            raise InvalidInput(f"{member.filename}: {error}") from None
        except _READ_ERRORS as error:
            raise InvalidInput(f"{member.filename}: it is damaged ({error})") from None
        self._budget_bytes -= len(data)
        if self._budget_bytes < 0:
            raise InvalidInput(f"{member.filename}: {BOMB}")
        return data


def refusal_of(member: zipfile.ZipInfo, *, known_names: set[str]) -> str:
    """Say why a member is not taken; empty for a sound one. Judged by its header alone."""
    name = member.filename
    path = PurePosixPath(name)
    mode = member.external_attr >> 16
    ratio = member.file_size / max(member.compress_size, 1)
    reasons = [
        (len(name) > MAX_NAME_CHARACTERS, "its name is too long"),
        (not name.isprintable(), "its name has control characters"),
        (path.is_absolute() or bool(_DRIVE.match(name)), "its name is an absolute path"),
        (".." in path.parts, "its name leads out of the archive"),
        ("\\" in name, "its name has a backslash"),
        (bool(stat.S_IFMT(mode)) and not stat.S_ISREG(mode), "it is a link or no plain file"),
        (bool(member.flag_bits & 0x1), "it is encrypted"),
        (name in known_names, "its name is there twice"),
        (path.suffix.lower() in ARCHIVE_SUFFIXES, "it is an archive inside the archive"),
        (
            member.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED},
            "it is compressed by a method that is not read here",
        ),
        (
            member.file_size > FREE_BYTES and ratio > MAX_RATIO,
            f"it inflates to {ratio:.0f} times its size",
        ),
    ]
    return next((reason for is_so, reason in reasons if is_so), "")


def check_directory(path: Path) -> None:
    """Count the entries of a zip before anything is built from them; InvalidInput for too many.

    zipfile makes an object of every entry and believes no count, so a small file with millions of
    entries would fill the memory.
    """
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(size - _END_BYTES, 0))
        tail = file.read()
        at = tail.rfind(b"PK\x05\x06")
        if at < 0 or len(tail) - at < 22:
            raise InvalidInput(f"{path.name}: it is not a zip archive, or it was cut off")
        directory_bytes = _directory_bytes(file, tail, at, end=size - (len(tail) - at))
        if directory_bytes > MAX_FILES * 512:
            raise InvalidInput(f"{path.name}: its list of files is too long")
        file.seek(max(size - (len(tail) - at) - directory_bytes, 0))
        if sum(1 for _ in _entries(file.read(directory_bytes))) > MAX_FILES:
            raise InvalidInput(f"{path.name}: it holds more than {MAX_FILES} files")


def _directory_bytes(file: IO[bytes], tail: bytes, at: int, *, end: int) -> int:
    size = int(struct.unpack("<L", tail[at + 12 : at + 16])[0])
    if size != 0xFFFF_FFFF:
        return size
    file.seek(max(end - 20 - 56, 0))  # zip64: its locator and end record lie before
    record = file.read(56)
    if record[:4] != b"PK\x06\x06":
        raise InvalidInput("the archive's zip64 record is damaged")
    return int(struct.unpack("<Q", record[40:48])[0])


def _entries(directory: bytes) -> Iterator[int]:
    at = 0
    while directory[at : at + 4] == b"PK\x01\x02" and at + 46 <= len(directory):
        yield at
        at += 46 + sum(struct.unpack("<3H", directory[at + 28 : at + 34]))


def _walk(root: Path) -> Iterator[Path]:
    def refuse(error: OSError) -> None:
        raise InvalidInput(f"{error.filename}: cannot be read: {error.strerror}")

    for folder, folders, names in os.walk(root, onerror=refuse, followlinks=False):
        folders.sort()
        linked = [name for name in folders if (Path(folder) / name).is_symlink()]
        yield from (Path(folder) / name for name in sorted([*names, *linked]))


def _read_path(path: Path, name: str, limit: int) -> bytes:
    try:
        # O_NOFOLLOW: the name may have become a link since it was looked at.
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
        with os.fdopen(descriptor, "rb") as file:
            return _read_bounded(file, limit, name=name)
    except OSError as error:
        raise InvalidInput(f"{name}: cannot be read: {error.strerror}") from None


def _read_bounded(file: IO[bytes] | Any, limit: int, *, name: str) -> bytes:
    chunks: list[bytes] = []
    num_bytes = 0
    while chunk := file.read(CHUNK_BYTES):
        num_bytes += len(chunk)
        if num_bytes > limit:  # whatever the header claimed
            raise InvalidInput(f"{name}: it has more than {limit // 2**20} MB")
        chunks.append(chunk)
    return b"".join(chunks)
