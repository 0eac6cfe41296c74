"""Take a batch of uploaded images: keep the good ones, say of each other what is wrong."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.files.uploadedfile import UploadedFile

from engine.domain.errors import InvalidInput
from engine.models import DatasetImport, Image, Project, User
from engine.services.datasets import imports
from engine.services.images import images

MEBIBYTE = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Refused:
    file_name: str
    message: str


@dataclass(frozen=True, slots=True)
class Batch:
    """`added` counts images the project did not have yet."""

    images: list[Image]
    added: int
    refused: list[Refused]


def take_files(project: Project, files: Iterable[UploadedFile[Any]], *, actor: User) -> Batch:
    """Ingest each file in its own transaction, so that one bad file spoils nothing."""
    kept: list[Image] = []
    refused: list[Refused] = []
    added = 0
    for file in files:
        name = file.name or "unnamed"
        try:
            image, created = images.ingest_image(
                project, data=read(file), file_name=name, actor=actor
            )
        except InvalidInput as error:
            refused.append(Refused(name, error.message.removeprefix(f"{name}: ")))
            continue
        kept.append(image)
        added += created
    return Batch(kept, added, refused)


def read(file: UploadedFile[Any]) -> bytes:
    """The bytes of a file no larger than MAX_UPLOAD_BYTES; InvalidInput before reading others."""
    if (file.size or 0) > settings.MAX_UPLOAD_BYTES:
        limit = settings.MAX_UPLOAD_BYTES // MEBIBYTE
        raise InvalidInput(f"larger than {limit} MB")
    return bytes(file.read())


def take_archive(project: Project, file: UploadedFile[Any], *, actor: User) -> DatasetImport:
    """Queue the import of an uploaded zip. InvalidInput when it is none, or too large."""
    name = file.name or "dataset.zip"
    if (file.size or 0) > settings.MAX_ARCHIVE_BYTES:
        limit = settings.MAX_ARCHIVE_BYTES // MEBIBYTE
        raise InvalidInput(f"{name}: larger than {limit} MB")
    with tempfile.NamedTemporaryFile(suffix=".zip") as copy:
        for chunk in file.chunks():
            copy.write(chunk)
        copy.flush()
        return imports.request_archive_import(project, path=Path(copy.name), name=name, actor=actor)
