"""Photographs and their cached embeddings. The bytes lie in storage, by content address."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from engine.domain.states import ImageStatus, Split
from engine.models.base import (
    KEY_CHARACTERS,
    NAME_CHARACTERS,
    SHA256_CHARACTERS,
    Row,
    StatefulRow,
    one_of,
)
from engine.models.project import Project


class Image(StatefulRow):
    """An image as stored: oriented, 8-bit RGB, without metadata. All masks are in its pixels.

    `sha256` is of the bytes that were handed in, so the same file is never taken twice.
    """

    STATES = ImageStatus
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="images")
    sha256 = models.CharField(max_length=SHA256_CHARACTERS)
    storage_key = models.CharField(max_length=KEY_CHARACTERS)
    thumbnail_key = models.CharField(max_length=KEY_CHARACTERS)
    file_name = models.CharField(max_length=NAME_CHARACTERS)
    width_px = models.PositiveIntegerField()
    height_px = models.PositiveIntegerField()
    status = models.CharField(max_length=16, default=ImageStatus.READY.value)
    split = models.CharField(max_length=8, default=Split.UNDECIDED.value, blank=True)

    class Meta:
        ordering = ["created_at", "id"]
        constraints = [
            one_of("status", ImageStatus, name="image_status_known"),
            one_of("split", Split, name="image_split_known"),
            models.UniqueConstraint(fields=["project", "sha256"], name="image_content_once"),
            models.CheckConstraint(
                condition=Q(width_px__gt=0, height_px__gt=0), name="image_has_pixels"
            ),
            models.CheckConstraint(condition=~Q(sha256=""), name="image_has_sha256"),
        ]


WHOLE_IMAGE = ""
"""The whole image, not a crop of it."""


class Embedding(Row):
    """What one encoder saw in one image or crop. Immutable: another encoder, another row."""

    image = models.ForeignKey(Image, on_delete=models.CASCADE, related_name="embeddings")
    encoder_sha256 = models.CharField(max_length=SHA256_CHARACTERS)
    crop = models.CharField(max_length=16, default=WHOLE_IMAGE, blank=True)
    """Key of a square of the image, see masks/crops.py; empty: all of it."""
    storage_key = models.CharField(max_length=KEY_CHARACTERS)
    sha256 = models.CharField(max_length=SHA256_CHARACTERS)
    size_bytes = models.PositiveBigIntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["image", "encoder_sha256", "crop"], name="embedding_once_per_crop"
            ),
            models.CheckConstraint(condition=~Q(encoder_sha256=""), name="embedding_has_encoder"),
            models.CheckConstraint(
                condition=Q(size_bytes__gt=0) & ~Q(storage_key="") & ~Q(sha256=""),
                name="embedding_has_its_file",
            ),
        ]
