"""Take photographs in, and out again."""

from __future__ import annotations

import hashlib
from pathlib import PurePosixPath

from django.conf import settings
from django.db import IntegrityError, transaction

from engine import storage
from engine.domain.errors import InvalidInput
from engine.domain.limits import MAX_REASON_CHARACTERS
from engine.domain.roles import Permission
from engine.domain.states import ImageStatus
from engine.models import Image, Project, User
from engine.models.base import NAME_CHARACTERS
from engine.services.images import embeddings
from engine.services.images.sandboxed_decode import DecodedImage, decode_image
from engine.services.jobs import proposals
from engine.services.people.roles import require
from engine.services.text import clean_line
from engine.services.transitions import move


def ingest_image(
    project: Project, *, data: bytes, file_name: str, actor: User
) -> tuple[Image, bool]:
    """Store an image once, ask for its embedding; (image, False) when these bytes are known.

    The bytes are untrusted: they are decoded in a limited child process and re-encoded without
    metadata. InvalidInput, in a sentence, for anything that is not a sane image.
    """
    require(actor, Permission.ADD_IMAGES, project)
    file_name = _display_name(file_name)
    if not data:
        raise InvalidInput(f"{file_name}: the file is empty")
    if len(data) > settings.MAX_UPLOAD_BYTES:
        megabytes = settings.MAX_UPLOAD_BYTES // 2**20
        raise InvalidInput(f"{file_name}: the file has more than {megabytes} MB")
    sha256 = hashlib.sha256(data).hexdigest()
    if known := project.images.filter(sha256=sha256).first():
        return known, False
    decoded = decode_image(data, file_name=file_name)
    try:
        return _store(project, decoded=decoded, sha256=sha256, file_name=file_name), True
    except IntegrityError:  # another upload of the same bytes was faster
        if known := project.images.filter(sha256=sha256).first():
            return known, False
        raise


@transaction.atomic
def reject_image(image: Image, *, actor: User, reason: str) -> None:
    """Take an image out of labelling, training and export."""
    require(actor, Permission.REVIEW_IMAGES, image.project)
    reason = clean_line(
        reason, what="the reason", max_characters=MAX_REASON_CHARACTERS, required=True
    )
    move(image, ImageStatus.REJECTED, actor=actor, reason=reason)


@transaction.atomic
def reopen_image(image: Image, *, actor: User) -> None:
    """Put a finished image back into the queue."""
    require(actor, Permission.REVIEW_IMAGES, image.project)
    move(image, ImageStatus.READY, actor=actor, reason="reopened")


@transaction.atomic
def _store(project: Project, *, decoded: DecodedImage, sha256: str, file_name: str) -> Image:
    image = Image.objects.create(
        project=project,
        sha256=sha256,
        storage_key=storage.put_bytes("images", decoded.content, decoded.suffix),
        thumbnail_key=storage.put_bytes("thumbnails", decoded.thumbnail, ".jpg"),
        file_name=file_name,
        width_px=decoded.width_px,
        height_px=decoded.height_px,
    )
    embeddings.request_embedding(image)
    proposals.request_for_image(image)
    return image


def _display_name(file_name: str) -> str:
    """Keep the last part of a file name, for people to read. It never becomes a path."""
    last = PurePosixPath(file_name.replace("\\", "/")).name[-NAME_CHARACTERS:]
    return clean_line(last, what="the file name", max_characters=NAME_CHARACTERS) or "unnamed"
