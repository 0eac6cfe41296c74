"""System checks: what would lose work or stop everything, said before the server starts."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning
from django.core.checks import register as register_check
from django.db import DatabaseError, connections

from engine.shipped import SAM_FILE


def register() -> None:
    """Register this app's checks. The database's own run with `migrate` and `check --database`."""
    register_check(check_data_dir, Tags.files)
    register_check(check_starter, Tags.files)
    register_check(check_durability, Tags.database)


def check_data_dir(**_: Any) -> list[CheckMessage]:
    """E001: images, masks and models cannot be stored."""
    folder = Path(settings.DATA_DIR)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"1")
            os.fsync(file.fileno())
    except OSError as error:
        return [
            Error(
                f"the data folder {folder} cannot be written: {error.strerror}",
                hint="Make it writable for this user, or set SEGLOOP_DATA_DIR to another folder.",
                id="engine.E001",
            )
        ]
    return []


def check_starter(**_: Any) -> list[CheckMessage]:
    """W001: new projects will have no model to label with."""
    path = Path(settings.STARTER_DIR) / SAM_FILE
    if path.is_file():
        return []
    return [
        Warning(
            f"the starter model {path} is missing; new projects will have no model",
            hint="Fetch it with the checkout, or set SEGLOOP_STARTER_DIR to its folder.",
            id="engine.W001",
        )
    ]


def check_durability(databases: Any = None, **_: Any) -> list[CheckMessage]:
    """E002: a power cut would lose masks that the page showed as saved."""
    messages: list[CheckMessage] = []
    for alias in databases or []:
        connection = connections[alias]
        if connection.vendor != "postgresql":
            continue
        try:
            with connection.cursor() as cursor:
                cursor.execute("SHOW synchronous_commit")
                (value,) = cursor.fetchone()
        except DatabaseError as error:
            messages.append(Warning(f"the database did not answer: {error}", id="engine.W002"))
            continue
        if value in {"off", "local"}:
            messages.append(
                Error(
                    f"PostgreSQL runs with synchronous_commit={value}: saved masks can be lost",
                    hint="Set synchronous_commit=on for this database or role.",
                    id="engine.E002",
                )
            )
    return messages
