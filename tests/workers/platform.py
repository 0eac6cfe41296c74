"""The platform as processes: its own data folder and database, workers that can be killed."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg2

ROOT = Path(__file__).parents[2]
LEASE_S = 5  # a busy machine may starve a heartbeat for seconds
JOB_COLUMNS = ("kind", "status", "attempts", "progress_pct", "error", "lease_owner")


@dataclass
class Worker:
    """A running process in a session of its own, and what it printed."""

    process: subprocess.Popen[str]
    lines: list[str] = field(default_factory=list)

    def kill(self) -> None:
        """Kill -9 the process and all its children, as a power cut would."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def terminate(self) -> int:
        """Ask the process to stop, and return its exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=60)


@dataclass
class Platform:
    """One installation: where its data lies and how its processes find it."""

    data_dir: Path
    starter_dir: Path
    database_url: str = ""
    redis_url: str = ""
    workers: list[Worker] = field(default_factory=list)
    more_environment: dict[str, str] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        inherited = {k: v for k, v in os.environ.items() if k != "DJANGO_SETTINGS_MODULE"}
        return {
            **inherited,
            "SEGLOOP_DATA_DIR": str(self.data_dir),
            "SEGLOOP_STARTER_DIR": str(self.starter_dir),
            "SEGLOOP_LEASE_S": str(LEASE_S),
            "DATABASE_URL": self.database_url,
            "REDIS_URL": self.redis_url,
            "OMP_NUM_THREADS": "1",
            "PYTHONUNBUFFERED": "1",
            "C_FORCE_ROOT": "1",
            **self.more_environment,
        }

    def migrate(self) -> None:
        self._call("manage.py", "migrate", "--verbosity", "0")

    def step(self, name: str, *arguments: str) -> Any:
        """Run one step of tests.workers.scenario and return what it printed."""
        return json.loads(self._call("-m", "tests.workers.scenario", name, *arguments))

    def start(self, *arguments: str) -> Worker:
        """Start `python ...` as a worker; its output is collected line by line."""
        process = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=ROOT,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        worker = Worker(process)
        threading.Thread(target=_collect, args=(process, worker.lines), daemon=True).start()
        self.workers.append(worker)
        return worker

    def start_runner(self) -> Worker:
        return self.start("manage.py", "runner")

    def start_celery(self, queue: str) -> Worker:
        return self.start(
            *("-m", "celery", "-A", "workers.celery.app", "worker", "--pool", "solo"),
            *("--queues", queue, "--hostname", f"{queue}@test"),
            *("--without-mingle", "--without-gossip", "--loglevel", "INFO"),
        )

    def wait_until(
        self, is_so: Callable[[dict[str, Any]], object], *, what: str, timeout_s: float = 240
    ) -> dict[str, Any]:
        """Poll the jobs until `is_so`, then return the whole state.

        Fails with the jobs and all output when it never becomes so.
        """
        deadline_s = time.monotonic() + timeout_s
        while not is_so({"jobs": (jobs := self.jobs())}):
            if time.monotonic() > deadline_s:
                output = "\n".join(line for worker in self.workers for line in worker.lines)
                listed = "\n".join(map(str, jobs))
                raise AssertionError(f"never came true: {what}\n{listed}\n{output}")
            time.sleep(0.1)
        state: dict[str, Any] = self.step("state")
        return state

    def jobs(self) -> list[dict[str, Any]]:
        """Read the Job table past Django: a process for each query would take seconds."""
        with closing(self._connect()) as connection:
            cursor = connection.cursor()
            cursor.execute(f"SELECT {', '.join(JOB_COLUMNS)} FROM engine_job ORDER BY created_at")
            return [dict(zip(JOB_COLUMNS, row, strict=True)) for row in cursor.fetchall()]

    def _connect(self) -> Any:
        if self.database_url:
            return psycopg2.connect(self.database_url)
        return sqlite3.connect(self.data_dir / "segloop.sqlite3", timeout=20)

    def stop(self) -> None:
        for worker in self.workers:
            if worker.process.poll() is None:
                worker.kill()

    def _call(self, *arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip().splitlines()[-1] if done.stdout.strip() else ""


def _collect(process: subprocess.Popen[str], lines: list[str]) -> None:
    assert process.stdout is not None
    with process.stdout:
        lines.extend(line.rstrip() for line in process.stdout)


def of_kind(state: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    return [job for job in state["jobs"] if job["kind"] == kind]


def all_over(state: dict[str, Any]) -> bool:
    return all(job["status"] not in ("queued", "running") for job in state["jobs"])
