"""Starts the product as `make run` does, in a data folder of its own, and opens a browser on it."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]
START_TIMEOUT_S = 120.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def browser_path() -> str:
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if path := shutil.which(name):
            return path
    raise RuntimeError("no Chromium on this machine; `make services` says how to get one")


@dataclass
class Product:
    """The running product: `make run` without the installation."""

    data_dir: Path
    port: int
    process: subprocess.Popen[str]
    lines: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def output(self) -> str:
        return "".join(self.lines)

    def wait_for_line(self, pattern: str, *, timeout_s: float = START_TIMEOUT_S) -> str:
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            if match := re.search(pattern, self.output):
                return match.group(0)
            if self.process.poll() is not None:
                break
            time.sleep(0.1)
        raise AssertionError(f"{pattern!r} never printed; the product said:\n{self.output}")

    def sign_in_link(self) -> str:
        return self.wait_for_line(r"http://\S+/sign-in/\S+?/(?=\s)")

    def stop(self) -> int:
        """Press Ctrl-C and wait; returns the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        return self.process.wait(timeout=60)


@contextmanager
def running_product(data_dir: Path) -> Iterator[Product]:
    port = free_port()
    environment = {
        **os.environ,
        "SEGLOOP_DATA_DIR": str(data_dir),
        "PYTHONUNBUFFERED": "1",
        "DATABASE_URL": "",
        "REDIS_URL": "",
    }
    process = subprocess.Popen(
        [sys.executable, "manage.py", "up", "--port", str(port)],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    product = Product(data_dir, port, process)
    assert process.stdout is not None
    stdout = process.stdout
    reader = threading.Thread(target=lambda: product.lines.extend(iter(stdout.readline, "")))
    reader.start()
    try:
        yield product
    finally:
        product.stop()
        reader.join(timeout=10)
        stdout.close()
