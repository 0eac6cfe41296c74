"""`manage.py export --project SLUG --output FILE`: the accepted masks as a dataset."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from engine import storage
from engine.domain.errors import DomainError
from engine.exporters import DEFAULT_FORMAT, EXPORTERS
from engine.models import Export
from engine.selectors.named import project_named, user_named
from engine.services.datasets import exports
from engine.stop_flag import stop_on_signals
from workers.execution.foreground import queue_and_run
from workers.execution.run_job import RunOutcome


class Command(BaseCommand):
    help = (
        "Export all accepted masks with their images as one zip archive, here and now. The same "
        "masks give the same bytes; manifest.sha256 in it has the checksum of each file."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--project", required=True, help="its slug, as in its address")
        parser.add_argument("--format", choices=list(EXPORTERS), default=DEFAULT_FORMAT)
        parser.add_argument("--output", type=Path, required=True, help="the archive to write")
        parser.add_argument("--user", help="the lead who exports; default: who made the project")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            self._export(options)
        except DomainError as error:
            raise CommandError(error.message) from None

    def _export(self, options: dict[str, Any]) -> None:
        project = project_named(options["project"])
        user = user_named(options["user"]) if options["user"] else project.created_by
        output: Path = options["output"]
        if not output.parent.is_dir():
            raise CommandError(f"{output.parent}: there is no such folder")
        queued: list[Export] = []

        def queue() -> Any:
            export = exports.request_export(project, format=options["format"], actor=user)
            queued.append(export)
            return export.job_id

        ran = queue_and_run(queue, stopping=stop_on_signals(), emit=self._write_line)
        if ran.outcome is RunOutcome.RELEASED:
            raise CommandError("stopped; a runner goes on with it, or cancel it on the page")
        if ran.outcome is not RunOutcome.SUCCEEDED:
            raise CommandError(ran.message or "the export was cancelled")
        export = queued[0]
        export.refresh_from_db()
        part = output.with_name(f"{output.name}.part")
        try:
            shutil.copyfile(storage.local_copy(export.storage_key), part)
            part.replace(output)
        except OSError as error:
            part.unlink(missing_ok=True)
            raise CommandError(f"{output}: cannot be written: {error.strerror}") from None
        self.stdout.write(f"{output}: {export.num_masks} masks, SHA-256 {export.sha256}")

    def _write_line(self, line: str) -> None:
        self.stdout.write(line)
        self.stdout.flush()
