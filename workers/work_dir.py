"""Scratch folders of jobs, beside the stored files. Only results enter storage."""

from __future__ import annotations

from pathlib import Path

from django.conf import settings


def work_dir(name: object) -> Path:
    """Return the folder of what is being made, named after its row: a second attempt finds it."""
    return Path(settings.DATA_DIR) / "work" / str(name)
