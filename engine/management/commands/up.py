"""`manage.py up`: one machine, one command: web server and job runner under one parent."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from types import FrameType
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser

STOP_GRACE_S = 20.0


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
        children = {"web": start_web(host, port, threads=options["threads"])}
        stopping = install_stop_signals()
        try:
            wait_until_up(f"{base_url}/healthz", children["web"])
            children["runner"] = subprocess.Popen(
                [sys.executable, "manage.py", "runner"],
                cwd=settings.BASE_DIR,
                start_new_session=True,
            )
            if not options["no_demo"]:
                call_command("create_demo", base_url=base_url)
            self.stdout.write(f"Segloop runs at {base_url}/  (Ctrl-C stops it)")
            self.stdout.flush()
            self._watch(children, stopping)
        finally:
            stop_all(children)
            self.stdout.write("stopped")

    def _watch(self, children: dict[str, subprocess.Popen[bytes]], stopping: list[int]) -> None:
        while not stopping:
            for name, child in children.items():
                if child.poll() is not None:
                    raise CommandError(f"the {name} process ended with code {child.returncode}")
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
    return subprocess.Popen(  # noqa: S603 - a fixed command
        [
            *(sys.executable, "-m", "gunicorn", "annotator_ui.wsgi:application"),
            *("--bind", f"{host}:{port}", "--workers", "1", "--threads", str(threads)),
            *("--worker-class", "gthread", "--timeout", "120", "--log-level", "warning"),
        ],
        cwd=settings.BASE_DIR,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "engine.settings"},
        start_new_session=True,  # Ctrl-C reaches the parent alone, which stops both in order
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
    """Return a list that becomes non-empty once SIGINT or SIGTERM arrived."""
    received: list[int] = []

    def remember(signum: int, _frame: FrameType | None) -> None:
        received.append(signum)

    signal.signal(signal.SIGINT, remember)
    signal.signal(signal.SIGTERM, remember)
    return received


def stop_all(children: dict[str, subprocess.Popen[bytes]]) -> None:
    """Ask every child to stop, then kill what is left after the grace period."""
    for child in children.values():
        if child.poll() is None:
            child.terminate()
    deadline = time.monotonic() + STOP_GRACE_S
    for child in children.values():
        try:
            child.wait(timeout=max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()
