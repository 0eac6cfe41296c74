"""PostgreSQL and Redis servers of a test's own, on free ports, that can be killed and come back."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg2

from tests.needs import missing


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for_port(port: int, *, timeout_s: float = 20) -> None:
    deadline_s = time.monotonic() + timeout_s
    while time.monotonic() < deadline_s:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise AssertionError(f"nothing listens on port {port} after {timeout_s:g} s")


def _postgres_bin() -> Path:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if found:
        return found[-1].parent
    initdb = shutil.which("initdb")
    if initdb is None:
        missing("no initdb (tests/services.sh provides it)")
        raise AssertionError
    return Path(initdb).resolve().parent


@dataclass
class Postgres:
    """A private cluster with its durability settings as shipped: a crash must lose nothing."""

    # Not in pytest's own folder: that is closed to the user that PostgreSQL runs as.
    folder: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="segloop-pg-")))
    port: int = field(default_factory=free_port)
    is_durable: bool = True

    @property
    def url(self) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/segloop"

    def create(self) -> None:
        """Make the cluster, start it and create the database. PostgreSQL refuses to run as root."""
        if os.getuid() == 0:
            postgres = pwd.getpwnam("postgres")
            os.chown(self.folder, postgres.pw_uid, postgres.pw_gid)
        self._run("initdb", "-D", str(self._data), "-A", "trust", "-U", "postgres", "--no-sync")
        self.start()
        connection = psycopg2.connect(self.url.replace("/segloop", "/postgres"))
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute("CREATE DATABASE segloop")
        connection.close()

    def start(self) -> None:
        self._control("start")

    def crash_and_restart(self) -> None:
        """Stop every process at once, without a checkpoint, as a power cut would; then recover."""
        self._control("restart")

    def stop(self) -> None:
        """Stop the cluster, if it ever started, and remove it."""
        if (self._data / "postmaster.pid").exists():
            self._control("stop")
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    def _control(self, verb: str) -> None:
        options = f"-k {self.folder} -h 127.0.0.1 -p {self.port} -c max_connections=60"
        if not self.is_durable:
            options += " -c fsync=off -c full_page_writes=off"
        log = self.folder / "log"
        arguments = ["-D", str(self._data), "-l", str(log), "-w", "-t", "60", "-o", options]
        if verb != "start":
            arguments += ["-m", "immediate"]
        self._run("pg_ctl", *arguments, verb)

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(_postgres_bin() / program), *arguments]
        if os.getuid() == 0:
            command = ["runuser", "-u", "postgres", "--", *command]
        # No pipes: the server inherits them and would keep a reader waiting for ever.
        done = subprocess.run(
            command, cwd="/", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False
        )
        assert done.returncode == 0, f"{program} {arguments[-1]} failed; see {self.folder}/log"


@dataclass
class Redis:
    """A Redis server; with `keeps_file` it writes its append-only file every second."""

    folder: Path
    keeps_file: bool = True
    port: int = field(default_factory=free_port)
    _process: subprocess.Popen[Any] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        binary = shutil.which("redis-server") or shutil.which("valkey-server")
        if binary is None:
            missing("no redis-server on the PATH (tests/services.sh provides it)")
            raise AssertionError
        self.folder.mkdir(parents=True, exist_ok=True)
        self._process = subprocess.Popen(
            [
                *(binary, "--port", str(self.port), "--bind", "127.0.0.1", "--save", ""),
                *("--dir", str(self.folder), "--appendonly", "yes" if self.keeps_file else "no"),
                *("--appendfsync", "everysec"),
            ],
            stdout=subprocess.DEVNULL,
        )
        wait_for_port(self.port)

    def kill(self, *, with_file: bool) -> None:
        """Kill -9; without its file everything it held is gone."""
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()
        if not with_file:
            shutil.rmtree(self.folder)

    def stop(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()
