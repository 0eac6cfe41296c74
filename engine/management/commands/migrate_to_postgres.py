"""`manage.py migrate_to_postgres URL`: move this installation from SQLite to PostgreSQL."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError, connections

from engine.domain.errors import DomainError
from engine.domain.states import JobStatus
from engine.models import Job
from engine.services.database_copy import copy_database
from engine.settings import database

TARGET = "target"


class Command(BaseCommand):
    help = (
        "Copy every row into an empty PostgreSQL database and compare counts and checksums. Stop "
        "the web server and the runner first; files stay where they are. Afterwards start with "
        "DATABASE_URL set to the same URL."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("url", help="postgresql://user:password@host:port/database")

    def handle(self, *args: Any, **options: Any) -> None:
        self._connect(options["url"])
        try:
            self._require_quiet()
            call_command("migrate", database=TARGET, interactive=False, verbosity=0)
            copied = copy_database(
                "default",
                TARGET,
                on_table=lambda name, number: self.stdout.write(f"{number:9,} {name}"),
            )
        except DatabaseError as error:
            raise CommandError(f"the database did not take it: {str(error).strip()}") from error
        except DomainError as error:
            raise CommandError(error.message) from error
        finally:
            connections[TARGET].close()
        total = sum(table.num_rows for table in copied)
        self.stdout.write(
            f"{total:,} rows in {len(copied)} tables are there, with equal checksums. "
            "Now start with DATABASE_URL set to this database."
        )

    def _connect(self, url: str) -> None:
        if not url.startswith(("postgres://", "postgresql://")):
            raise CommandError("the target must be a postgresql:// URL")
        try:
            described = database(url, settings.DATA_DIR)
        except (ImproperlyConfigured, ValueError) as error:
            raise CommandError(str(error)) from error
        connections.settings[TARGET] = {**connections.settings["default"], **described}
        connections.settings[TARGET].update(OPTIONS={})

    def _require_quiet(self) -> None:
        running = Job.objects.filter(status=JobStatus.RUNNING.value).count()
        if running:
            raise CommandError(
                f"{running} jobs are running: stop the runner (and the web server) first"
            )
