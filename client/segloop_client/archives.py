"""Datasets on their way to the server: a folder as a zip, a file as the body of a form."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

CHUNK_BYTES = 1 << 20


@contextmanager
def archive_of(path: Path) -> Iterator[Path]:
    """The zip to send: the file itself, or a folder packed into one that is removed afterwards.

    Files are stored, not compressed: photos are already. Hidden files stay behind.
    """
    if not path.is_dir():
        yield path
        return
    with TemporaryDirectory() as folder:
        packed = Path(folder) / f"{path.resolve().name or 'dataset'}.zip"
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as archive:
            for file in sorted(path.rglob("*")):
                inside = file.relative_to(path)
                if file.is_file() and not any(part.startswith(".") for part in inside.parts):
                    archive.write(file, inside)
        yield packed


class FileForm:
    """A form of one file, read while it is sent: an archive may be larger than memory."""

    def __init__(self, path: Path, *, field: str = "file") -> None:
        boundary = uuid4().hex
        name = path.name.replace('"', "'").replace("\r", " ").replace("\n", " ")
        self.content_type = f"multipart/form-data; boundary={boundary}"
        self._path = path
        self._size_bytes = path.stat().st_size
        self._head = (
            f'--{boundary}\r\nContent-Disposition: form-data; name="{field}"; '
            f'filename="{name}"\r\nContent-Type: application/zip\r\n\r\n'
        ).encode()
        self._end = f"\r\n--{boundary}--\r\n".encode()

    def __len__(self) -> int:
        return len(self._head) + self._size_bytes + len(self._end)

    def __iter__(self) -> Iterator[bytes]:
        yield self._head
        with self._path.open("rb") as file:
            while chunk := file.read(CHUNK_BYTES):
                yield chunk
        yield self._end
