"""`manage.py runner`: the workers of one machine, kept alive; embedded, or Celery's."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from engine.domain.jobs import FILES, GPU, QUEUES
from engine.parent_watch import on_parent_exit
from engine.stop_flag import stop_on_signals
from workers import config, tasks
from workers.execution import supervisor
from workers.execution.runner import run_lane

NICENESS = {FILES: supervisor.FILES_NICENESS, GPU: supervisor.HEAVY_NICENESS}


class Command(BaseCommand):
    help = (
        "Run queued jobs. By default one process a queue, so that quick jobs (embeddings) "
        "never wait for an import or a training."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--queues",
            help=f"comma-separated, run in this one process; of {', '.join(QUEUES)}",
        )
        parser.add_argument(
            "--once", action="store_true", help="end when nothing is left to do (one process)"
        )
        parser.add_argument(
            "--celery",
            action="store_true",
            help="keep Celery workers alive instead, one a queue (needs REDIS_URL)",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        stopping = stop_on_signals()
        try:
            worker_config = config.from_environment()
        except ValueError as error:
            raise CommandError(str(error)) from error
        on_parent_exit(stopping.set)
        if options["celery"]:
            if not settings.REDIS_URL:
                raise CommandError("--celery needs REDIS_URL: without Redis leave it out")
            supervisor.supervise(
                _queues(options["queues"]),
                niceness=NICENESS,
                stopping=stopping,
                emit=self._emit,
                command=supervisor.celery_command,
            )
            return
        if options["queues"] is None and not options["once"]:
            supervisor.supervise(QUEUES, niceness=NICENESS, stopping=stopping, emit=self._emit)
            return
        queues = _queues(options["queues"])
        tasks.load(queues)  # torch, for most; the supervisor above must not
        run_lane(
            queues,
            config=worker_config,
            stopping=stopping,
            emit=self._emit,
            once=options["once"],
        )

    def _emit(self, line: str) -> None:
        self.stdout.write(line)
        self.stdout.flush()


def _queues(text: str | None) -> tuple[str, ...]:
    if text is None:
        return QUEUES
    queues = tuple(part.strip() for part in text.split(",") if part.strip())
    unknown = [queue for queue in queues if queue not in QUEUES]
    if unknown or not queues:
        raise CommandError(f"--queues must name some of {', '.join(QUEUES)}, not {text!r}")
    return queues
