"""Download an official checkpoint: resumed where it stopped, checked, whole or not at all.

Needs the standard library only, so that it starts without torch.
"""

from __future__ import annotations

import errno
import hashlib
import http.client
import os
import re
import shutil
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import IO

from sam.checkpoints.official import OfficialFile

Progress = Callable[[int, int], None]
"""Told the bytes there are and the bytes there will be."""
_CHUNK_BYTES = 1 << 20
_TIMEOUT_S = 30.0
_ATTEMPTS = 3  # broken connections are taken up again where they broke


class FetchError(ValueError):
    """A download that did not succeed; the message says why and what to do."""


class _BrokenOffError(Exception):
    """The connection ended early; what came so far is kept."""


def fetch(file: OfficialFile, folder: Path, *, on_progress: Progress | None = None) -> Path:
    """Return the path of the complete file in folder, downloading what is missing of it.

    What was downloaded before stays in a `.part` file beside it and is continued. Raises FetchError
    when the server cannot be reached or has another file, or the disk is full.
    """
    target = folder / file.file_name
    partial = folder / f".{file.file_name}.part"
    try:
        if target.is_file() and _matches(target, file):
            return target
        folder.mkdir(parents=True, exist_ok=True)
        with partial.open("a+b") as stream:
            _lock(stream, partial)
            try:
                _complete(stream, partial, file, on_progress or (lambda done, total: None))
                os.fsync(stream.fileno())
                partial.chmod(0o644)
                partial.replace(target)  # still locked: nobody writes into what was checked
            except FetchError:
                if partial.stat().st_size == 0:
                    partial.unlink()
                raise
    except OSError as error:
        raise FetchError(_disk_reason(error, folder)) from None
    return target


def _complete(stream: IO[bytes], partial: Path, file: OfficialFile, on_progress: Progress) -> None:
    """Fill the file until size and SHA-256 are right."""
    was_resumed = 0 < stream.tell() <= file.size_bytes
    if stream.tell() > file.size_bytes:
        stream.truncate(0)
    _download(stream, file, on_progress)
    if _matches(partial, file):
        return
    stream.truncate(0)
    if was_resumed:  # the earlier part may have been the wrong one: once more from the beginning
        _download(stream, file, on_progress)
        if _matches(partial, file):
            return
        stream.truncate(0)
    raise FetchError(f"{file.url} is not the published file: its SHA-256 differs; nothing was kept")


def _download(stream: IO[bytes], file: OfficialFile, on_progress: Progress) -> None:
    for attempt in range(1, _ATTEMPTS + 1):
        done = stream.seek(0, os.SEEK_END)
        _check_space(Path(str(stream.name)).parent, file.size_bytes - done)
        on_progress(done, file.size_bytes)
        if done == file.size_bytes:
            return
        try:
            _download_once(stream, file, on_progress)
            return
        except _BrokenOffError as error:
            done = stream.seek(0, os.SEEK_END)
            if attempt == _ATTEMPTS:
                raise FetchError(
                    f"the connection to {file.url} broke at {done:,} of {file.size_bytes:,} bytes "
                    f"({error}); run the command again to go on from there"
                ) from None


def _download_once(stream: IO[bytes], file: OfficialFile, on_progress: Progress) -> None:
    """Append what the server sends, from the end of the file on where it can do that."""
    done = stream.tell()
    with _open(file, start=done) as response:
        start = _start_of(response, file, asked=done)
        if start != done:
            stream.truncate(start)
            done = stream.seek(0, os.SEEK_END)
        while done < file.size_bytes:
            try:
                chunk = response.read(min(_CHUNK_BYTES, file.size_bytes - done))
            except (OSError, http.client.HTTPException) as error:
                stream.flush()
                raise _BrokenOffError(_network_reason(error)) from None
            if not chunk:
                stream.flush()
                raise _BrokenOffError("it ended early")
            stream.write(chunk)
            done += len(chunk)
            on_progress(done, file.size_bytes)
    stream.flush()


def _open(file: OfficialFile, *, start: int) -> http.client.HTTPResponse:
    headers = {"User-Agent": "segloop", "Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
    if not file.url.startswith(("https://", "http://")):
        raise FetchError(f"{file.url} is not a web address")
    request = urllib.request.Request(file.url, headers=headers)  # noqa: S310 - checked above
    try:
        response: http.client.HTTPResponse = urllib.request.urlopen(  # noqa: S310 - checked above
            request, timeout=_TIMEOUT_S
        )
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == http.client.REQUESTED_RANGE_NOT_SATISFIABLE and start:
            return _open(file, start=0)
        raise FetchError(f"{file.url} answered {error.code} {error.reason}") from None
    except (OSError, http.client.HTTPException) as error:  # URLError is an OSError
        raise FetchError(
            f"cannot reach {file.url}: {_network_reason(error)}; is this machine offline?"
        ) from None
    return response


def _start_of(response: http.client.HTTPResponse, file: OfficialFile, *, asked: int) -> int:
    """Return where the answer begins in the file. Raises FetchError for a file of another size."""
    start, total = 0, response.headers.get("Content-Length", "")
    if response.status == http.client.PARTIAL_CONTENT:
        found = re.fullmatch(r"bytes (\d+)-\d+/(\d+)", response.headers.get("Content-Range", ""))
        if found is None or int(found[1]) != asked:
            raise FetchError(f"{file.url} sent another part of the file than it was asked for")
        start, total = asked, found[2]
    if total.isdigit() and int(total) != file.size_bytes:
        raise FetchError(
            f"{file.url} has {int(total):,} bytes, the published file {file.size_bytes:,}"
        )
    return start


def _matches(path: Path, file: OfficialFile) -> bool:
    if path.stat().st_size != file.size_bytes:
        return False
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest() == file.sha256


def _check_space(folder: Path, needed_bytes: int) -> None:
    free_bytes = shutil.disk_usage(folder).free
    if needed_bytes > free_bytes:
        raise FetchError(
            f"{folder} has {free_bytes / 1e6:,.0f} MB free, {needed_bytes / 1e6:,.0f} MB are needed"
        )


def _lock(stream: IO[bytes], partial: Path) -> None:
    try:
        import fcntl
    except ImportError:  # Windows: two downloads at once are found out by the SHA-256
        return
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise FetchError(f"{partial} is being downloaded by another process") from None


def _disk_reason(error: OSError, folder: Path) -> str:
    if error.errno == errno.ENOSPC:
        return f"the disk of {folder} is full; what came so far is kept"
    return f"cannot write in {folder}: {error.strerror or error}"


def _network_reason(error: Exception) -> str:
    inner = error.reason if isinstance(error, urllib.error.URLError) else error
    text = getattr(inner, "strerror", None) or str(inner) or type(inner).__name__
    return " ".join(str(text).split())
