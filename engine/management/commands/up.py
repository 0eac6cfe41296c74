"""`manage.py up`: run the web server and the job runner of one machine by one command."""

from __future__ import annotations

import signal
import socket
import sys
import time
import urllib.request
from collections.abc import Callable
from functools import partial
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser

from engine.parent_watch import start_child
from engine.stop_flag import stop_on_signals
from engine.supervision import Process, RestartPolicy, SupervisedProcess, keep_running, stop_all

STOP_GRACE_S = 20.0
MAX_RESTARTS = 5
RESTARTS_WITHIN_S = 300.0
RESTARTS = RestartPolicy(max_restarts=MAX_RESTARTS, restarts_within_s=RESTARTS_WITHIN_S)
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)  # Ctrl-C, kill, a closed terminal


class Command(BaseCommand):
    help = "Migrate, make the demo project, start the web server and the job runner."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--host", default="127.0.0.1")
        parser.add_argument("--port", type=int, default=8000)
        parser.add_argument("--threads", type=int, default=8, help="web server threads")
        parser.add_argument("--no-demo", action="store_true", help="make no demo project")

    def handle(self, *args: Any, **options: Any) -> None:
        host, port = options["host"], options["port"]
        base_url = f"http://{host}:{port}"
        require_free_port(host, port)
        call_command("migrate", interactive=False, verbosity=0)
        call_command("collectstatic", interactive=False, verbosity=0)
        children: list[SupervisedProcess] = []
        stopping = stop_on_signals(STOP_SIGNALS)

        def add(name: str, start: Callable[[], Process]) -> SupervisedProcess:
            children.append(SupervisedProcess(name, start, policy=RESTARTS))
            return children[-1]

        try:
            web = add("web", partial(start_web, host, port, threads=options["threads"]))
            wait_until_up(f"{base_url}/healthz", web.process)
            add("runner", start_runner)
            if not options["no_demo"]:
                call_command("create_demo", base_url=base_url)
            self.stdout.write(f"Segloop runs at {base_url}/  (Ctrl-C stops it)")
            self.stdout.flush()
            keep_running(children, stopping=stopping, emit=self.stderr.write)
        finally:
            stop_all(children, grace_s=STOP_GRACE_S)
            self.stdout.write("stopped")


def require_free_port(host: str, port: int) -> None:
    """Fail with one line when something else listens on the port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise CommandError(
                f"port {port} on {host} is taken ({error.strerror}); try: make run PORT={port + 1}"
            ) from error


def start_web(host: str, port: int, *, threads: int) -> Process:
    """Start gunicorn; it ends with this process, see engine.parent_watch."""
    arguments = {
        "--config": "python:engine.parent_watch",
        "--bind": f"{host}:{port}",
        "--workers": "1",
        "--worker-class": "gthread",
        "--threads": str(threads),
        "--timeout": "120",
        "--keep-alive": "75",
        "--log-level": "warning",
    }
    return start_child(
        [
            *(sys.executable, "-m", "gunicorn", "annotator_ui.wsgi:application"),
            *(part for argument in arguments.items() for part in argument),
        ],
        environment={"DJANGO_SETTINGS_MODULE": "engine.settings"},
        cwd=settings.BASE_DIR,
        start_new_session=True,  # Ctrl-C reaches the parent alone, which stops both in order
    )


def start_runner() -> Process:
    """Start the runner of all queues; it ends with this process."""
    return start_child(
        [sys.executable, "manage.py", "runner"], cwd=settings.BASE_DIR, start_new_session=True
    )


def wait_until_up(url: str, web: Process, *, timeout_s: float = 60.0) -> None:
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if web.poll() is not None:
            raise CommandError(f"the web server ended with code {web.returncode} while starting")
        try:
            with urllib.request.urlopen(url, timeout=2):  # noqa: S310 - our own loopback address
                return
        except OSError:
            time.sleep(0.1)
    raise CommandError(f"the web server did not answer at {url} within {timeout_s:.0f} s")
