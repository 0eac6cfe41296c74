"""Images themselves, known by the endings of their names; nothing is opened here."""

from __future__ import annotations

from engine.importers.records import Content, Found

NAME = "images"
TITLE = "images"
DESCRIPTION = "Images alone: JPEG, PNG, WebP, TIFF, BMP or GIF."
SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".tif", ".tiff", ".bmp", ".gif", ""}
)


def recognises(content: Content) -> bool:
    """Take every file whose name ends like that of an image."""
    return True


def read(content: Content) -> Found:
    """Return the file as an image."""
    return Found(images=[content.file])
