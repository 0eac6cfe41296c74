"""`manage.py up`: one machine, one command: web server and job runner under one parent."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache, partial
from types import FrameType
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser

from engine.parent import PIPE_VARIABLE

STOP_GRACE_S = 20.0
MAX_RESTARTS = 5
RESTARTS_WITHIN_S = 300.0


@dataclass
class Child:
    """A process that is started again when it ends, a few times within a few minutes."""

    start: Callable[[], subprocess.Popen[bytes]]
    process: subprocess.Popen[bytes]
    restarted_at_s: list[float] = field(default_factory=list)

    def restart(self, name: str, *, now_s: float) -> None:
        """Start it again, or CommandError when it keeps ending: that does not heal by itself."""
        code = self.process.returncode
        recent = [at_s for at_s in self.restarted_at_s if now_s - at_s < RESTARTS_WITHIN_S]
        if len(recent) >= MAX_RESTARTS:
            raise CommandError(
                f"the {name} process ended {len(recent) + 1} times within "
                f"{RESTARTS_WITHIN_S / 60:.0f} minutes, the last time with code {code}"
            )
        self.restarted_at_s = [*recent, now_s]
        self.process = self.start()


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
        children: dict[str, Child] = {}
        stopping = install_stop_signals()

        def add(name: str, start: Callable[[], subprocess.Popen[bytes]]) -> None:
            children[name] = Child(start, start())

        try:
            add("web", partial(start_web, host, port, threads=options["threads"]))
            wait_until_up(f"{base_url}/healthz", children["web"].process)
            add("runner", start_runner)
            if not options["no_demo"]:
                call_command("create_demo", base_url=base_url)
            self.stdout.write(f"Segloop runs at {base_url}/  (Ctrl-C stops it)")
            self.stdout.flush()
            self._watch(children, stopping)
        finally:
            stop_all(children)
            self.stdout.write("stopped")

    def _watch(self, children: dict[str, Child], stopping: list[int]) -> None:
        while not stopping:
            for name, child in children.items():
                if child.process.poll() is not None:
                    code = child.process.returncode
                    self.stderr.write(f"{name} ended with code {code}: starting it again")
                    child.restart(name, now_s=time.monotonic())
            time.sleep(0.3)


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


def start_web(host: str, port: int, *, threads: int) -> subprocess.Popen[bytes]:
    """Start gunicorn; it ends with this process, see engine.parent."""
    arguments = {
        "--config": "python:engine.parent",
        "--bind": f"{host}:{port}",
        "--workers": "1",
        "--worker-class": "gthread",
        "--threads": str(threads),
        "--timeout": "120",
        "--keep-alive": "75",
        "--log-level": "warning",
    }
    own = {"DJANGO_SETTINGS_MODULE": "engine.settings", PIPE_VARIABLE: str(lifeline())}
    return subprocess.Popen(  # noqa: S603 - a fixed command
        [
            *(sys.executable, "-m", "gunicorn", "annotator_ui.wsgi:application"),
            *(part for argument in arguments.items() for part in argument),
        ],
        cwd=settings.BASE_DIR,
        env={**os.environ, **own},
        pass_fds=(lifeline(),),
        start_new_session=True,  # Ctrl-C reaches the parent alone, which stops both in order
    )


@cache
def lifeline() -> int:
    """The reading end of a pipe that stays open for as long as this process lives."""
    read_fd, _write_fd = os.pipe()  # neither is inherited unless named
    return read_fd


def start_runner() -> subprocess.Popen[bytes]:
    return subprocess.Popen(  # noqa: S603 - a fixed command
        [sys.executable, "manage.py", "runner", "--parent-pid", str(os.getpid())],
        cwd=settings.BASE_DIR,
        start_new_session=True,
    )


def wait_until_up(url: str, web: subprocess.Popen[bytes], *, timeout_s: float = 60.0) -> None:
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


def install_stop_signals() -> list[int]:
    """Return a list that becomes non-empty at Ctrl-C, SIGTERM or a closed terminal."""
    received: list[int] = []

    def remember(signum: int, _frame: FrameType | None) -> None:
        received.append(signum)

    for asked in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(asked, remember)
    return received


def stop_all(children: dict[str, Child]) -> None:
    """Ask every child to stop, then kill what is left after the grace period."""
    processes = [child.process for child in children.values()]
    for process in processes:
        if process.poll() is None:
            process.terminate()
    deadline = time.monotonic() + STOP_GRACE_S
    for process in processes:
        try:
            process.wait(timeout=max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
