"""Write an export shard by shard, then join the shards into one archive. A kill costs one shard.

The same records give the same bytes: names, order, times and permissions are fixed.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO

from engine.exporters.records import Dataset, Exporter, ImageRecord, Member

CHUNK_BYTES = 1 << 20
MANIFEST = "manifest.sha256"
"""As sha256sum writes it: `sha256sum -c manifest.sha256` checks an unpacked export."""
STORED_SUFFIXES = {".jpg", ".png", ".webp"}
DEFLATE_LEVEL = 1
"""Run lengths deflate hardly better at higher levels, which take several times as long."""
_SUMS, _ZIP, _DONE = "sha256", "zip", "done"


def is_written(folder: Path, shard: int) -> bool:
    """Tell whether an earlier attempt finished this shard."""
    return _path(folder, shard, _DONE).exists()


def write_shard(
    folder: Path, shard: int, records: Iterable[ImageRecord], *, format: Exporter, dataset: Dataset
) -> None:
    """Write one shard's files; whatever a killed attempt left of it is written over."""
    # Two attempts at once (one taken for dead) write the same bytes, each into its own parts.
    mine = f"{os.getpid()}.part"
    parts: dict[str, IO[bytes]] = {}

    def part(name: str) -> IO[bytes]:
        if name not in parts:
            parts[name] = _path(folder, shard, f"{name}.{mine}").open("wb")
        return parts[name]

    try:
        with zipfile.ZipFile(part(_ZIP), "w") as archive:
            for record in records:
                for member in format.members(record):
                    part(_SUMS).write(_sum_line(_add(archive, member), member.name))
                for name, lines in format.lines(record, dataset).items():
                    part(name).write(lines)
        for file in parts.values():
            file.flush()
            os.fsync(file.fileno())
    finally:
        for file in parts.values():
            file.close()
    for name in parts:
        _path(folder, shard, f"{name}.{mine}").replace(_path(folder, shard, name))
    _path(folder, shard, _DONE).touch()


def join(
    folder: Path, target: Path, *, num_shards: int, format: Exporter, dataset: Dataset
) -> None:
    """Make one archive of all shards: members are copied as they are, then the whole files."""
    shards = range(num_shards)
    part = target.with_suffix(".part")
    fragments = _Fragments(folder, num_shards)
    manifest = folder / MANIFEST
    with zipfile.ZipFile(part, "w") as archive, manifest.open("wb") as lines:
        for shard in shards:
            _append(archive, _path(folder, shard, _ZIP))
            with _path(folder, shard, _SUMS).open("rb") as file:
                shutil.copyfileobj(file, lines, CHUNK_BYTES)
        for name, content in format.whole_files(dataset, fragments):
            sums = hashlib.sha256()
            with archive.open(_info(name), "w", force_zip64=True) as file:
                for chunk in content:
                    sums.update(chunk)
                    file.write(chunk)
            lines.write(_sum_line(sums.hexdigest(), name))
        lines.flush()
        with archive.open(_info(MANIFEST), "w") as file, manifest.open("rb") as written:
            shutil.copyfileobj(written, file, CHUNK_BYTES)
    part.replace(target)


class _Fragments(Mapping[str, Iterator[bytes]]):
    """The fragments of all shards by name, each as one stream."""

    def __init__(self, folder: Path, num_shards: int) -> None:
        self._folder = folder
        self._num_shards = num_shards

    def __getitem__(self, name: str) -> Iterator[bytes]:
        for shard in range(self._num_shards):
            with _path(self._folder, shard, name).open("rb") as file:
                while chunk := file.read(CHUNK_BYTES):
                    yield chunk

    def __iter__(self) -> Iterator[str]:
        raise NotImplementedError("fragments are asked for by name")

    def __len__(self) -> int:
        raise NotImplementedError("fragments are asked for by name")


def _add(archive: zipfile.ZipFile, member: Member) -> str:
    """Add a member and return its SHA-256."""
    with archive.open(_info(member.name), "w") as file:
        if isinstance(member.content, bytes):
            file.write(member.content)
            return hashlib.sha256(member.content).hexdigest()
        with member.content.open("rb") as stored:
            shutil.copyfileobj(stored, file, CHUNK_BYTES)
    return member.sha256


def _append(archive: zipfile.ZipFile, shard: Path) -> None:
    """Copy all members of a shard as they lie there, without inflating them."""
    target = archive.fp
    if target is None:
        raise ValueError("the archive is closed")
    with zipfile.ZipFile(shard) as opened:
        members, num_bytes = opened.infolist(), opened.start_dir
    base = target.seek(archive.start_dir)
    with shard.open("rb") as file:
        while num_bytes > 0 and (chunk := file.read(min(num_bytes, CHUNK_BYTES))):
            target.write(chunk)
            num_bytes -= len(chunk)
    for member in members:
        member.header_offset += base
        archive.filelist.append(member)
        archive.NameToInfo[member.filename] = member
    archive.start_dir = target.tell()


def _info(name: str) -> zipfile.ZipInfo:
    """Describe a member by its name alone: no clock, no owner, no system."""
    info = zipfile.ZipInfo(name)
    info.create_system = 3
    info.external_attr = 0o100644 << 16
    stored = Path(name).suffix in STORED_SUFFIXES
    info.compress_type = zipfile.ZIP_STORED if stored else zipfile.ZIP_DEFLATED
    info._compresslevel = DEFLATE_LEVEL  # type: ignore[attr-defined]  # `compress_level` from 3.13
    return info


def _sum_line(sha256: str, name: str) -> bytes:
    return f"{sha256}  {name}\n".encode()


def _path(folder: Path, shard: int, name: str) -> Path:
    return folder / f"shard-{shard:05d}.{name}"
