"""`manage.py import PATH --project SLUG`: import a folder or a zip of images or a dataset."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from engine.domain.errors import DomainError
from engine.importers import IMPORTERS
from engine.models import DatasetImport
from engine.selectors.named import project_named, user_named
from engine.services.datasets import imports
from engine.stop_flag import stop_on_signals
from workers.execution.foreground import queue_and_run
from workers.execution.run_job import RunOutcome

MAX_PRINTED = 50


class Command(BaseCommand):
    help = (
        "Import images, and masks when there are annotations beside them. Runs here and now, or "
        "with --queue in a runner on this machine. Repeatable: nothing is taken twice. Formats, "
        "recognised by themselves: "
        + " ".join(f"{one.TITLE} ({one.DESCRIPTION[:-1]})." for one in IMPORTERS.values())
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("path", type=Path, help="a folder or a zip archive")
        parser.add_argument("--project", required=True, help="its slug, as in its address")
        parser.add_argument("--user", help="the lead who imports; default: who made the project")
        parser.add_argument("--queue", action="store_true", help="leave the work to a runner")
        parser.add_argument(
            "--report", type=Path, help="write all refusals to this JSON lines file"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            self._import(options)
        except DomainError as error:
            raise CommandError(error.message) from None

    def _import(self, options: dict[str, Any]) -> None:
        project = project_named(options["project"])
        user = user_named(options["user"]) if options["user"] else project.created_by
        queued: list[DatasetImport] = []

        def queue() -> Any:
            run = imports.request_folder_import(project, path=options["path"], actor=user)
            queued.append(run)
            return run.job_id

        if options["queue"]:
            self.stdout.write(f"queued as job {queue()}")
            return
        ran = queue_and_run(queue, stopping=stop_on_signals(), emit=self._write_line)
        if ran.outcome is RunOutcome.RELEASED:
            raise CommandError("stopped; a runner goes on with it, or cancel it on the page")
        if ran.outcome is not RunOutcome.SUCCEEDED:
            raise CommandError(ran.message or "the import was cancelled; what came in stays in")
        run = queued[0]
        run.refresh_from_db()
        self._report(run, options["report"])

    def _report(self, run: DatasetImport, path: Path | None) -> None:
        self.stdout.write(
            f"{run.num_images} images new, {run.num_known_images} known; "
            f"{run.num_masks} masks new, {run.num_known_masks} known; {run.num_refused} refused"
        )
        for place, one in enumerate(imports.refused_by(run)):
            if place == MAX_PRINTED:
                self.stdout.write(f"... and {run.num_refused - MAX_PRINTED} more (--report FILE)")
                break
            self.stdout.write(f"refused {one.name}: {one.reason}")
        if path is not None:
            try:
                path.write_bytes(imports.report_bytes(run))
            except OSError as error:
                raise CommandError(f"{path}: cannot be written: {error.strerror}") from None

    def _write_line(self, line: str) -> None:
        self.stdout.write(line)
        self.stdout.flush()
