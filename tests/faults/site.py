"""The installation under test: its processes and servers, killed and started again."""

from __future__ import annotations

import json
import random
import sqlite3
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg2

from tests.faults.servers import Postgres, Redis, free_port, wait_for_port
from tests.workers.platform import LEASE_S, ROOT, Platform, Worker

IN_THE_MIDDLE_SHARE = 0.5
"""Of the kills of workers: so many while a job runs, the others at any moment."""
WORK_WAIT_S = 15.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a run does. `database`: "sqlite" (embedded workers) or "postgresql" (Celery, Redis)."""

    database: str
    num_kills: int = 60
    num_jobs: int = 120
    num_uploads: int = 30
    num_saves: int = 2_000
    num_annotators: int = 4
    num_workers: int = 2
    step_s: float = 0.05
    zombie_share: float = 0.05
    lost_answer_share: float = 0.05
    kill_every_s: tuple[float, float] = (0.4, 1.6)
    mutation: str = ""
    seed: int = 0


@dataclass
class Site:
    """The processes of one installation. Everything in `processes` is restarted when killed."""

    plan: Plan
    platform: Platform
    folder: Path
    port: int = field(default_factory=free_port)
    postgres: Postgres | None = None
    redis: Redis | None = None
    processes: dict[str, Worker] = field(default_factory=dict)

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        if self.plan.database == "postgresql":
            self.postgres = Postgres()
            self.postgres.create()
            self.redis = Redis(self.folder / "redis")
            self.redis.start()
            self.platform.database_url = self.postgres.url
            self.platform.redis_url = self.redis.url
        self.platform.more_environment = {
            "SEGLOOP_TEST_MUTATION": self.plan.mutation,
            "SEGLOOP_TEST_ZOMBIES": str(self.plan.zombie_share),
            "SEGLOOP_TEST_PAUSE_S": str(LEASE_S + 2),  # longer than the lease and a sweep
            "SEGLOOP_TEST_STEP_S": str(self.plan.step_s),
        }
        self.platform.migrate()

    def start_processes(self) -> None:
        for name in ["web", *(f"worker-{place}" for place in range(self.plan.num_workers))]:
            self.restart(name)
        wait_for_port(self.port)

    def restart(self, name: str) -> None:
        if name == "web":
            arguments = [
                *("-m", "gunicorn", "tests.faults.wsgi:application", "--workers", "2"),
                *("--worker-class", "gthread", "--threads", "4", "--log-level", "warning"),
                *("--bind", f"127.0.0.1:{self.port}"),
            ]
        elif self.redis is None:
            arguments = ["-m", "tests.faults.lane"]
        else:
            arguments = [
                *("-m", "celery", "-A", "tests.faults.celery_app", "worker", "--pool", "solo"),
                *(
                    "--queues",
                    "cpu,files,gpu",
                    "--hostname",
                    f"{name}@test",
                    "--loglevel",
                    "WARNING",
                ),
                *("--without-mingle", "--without-gossip"),
            ]
        self.processes[name] = self.platform.start(*arguments)

    def kill_one(self, random_: random.Random) -> str:
        """Kill something at random, start it again, and return its name."""
        targets = ["web", *(name for name in self.processes if name != "web")]
        if self.redis is not None:
            targets += ["postgres", "redis with its file", "redis without its file"]
        target = random_.choice(targets)
        if target in self.processes:
            if target != "web" and random_.random() < IN_THE_MIDDLE_SHARE:
                self._wait_for_work()
            self.processes[target].kill()
            self.restart(target)
            return target.split("-")[0]
        if target == "postgres":
            assert self.postgres is not None
            self.postgres.crash_and_restart()
        else:
            assert self.redis is not None
            self.redis.kill(with_file=target == "redis with its file")
            time.sleep(random_.uniform(0, 1.0))
            self.redis.start()
        return target

    def _wait_for_work(self) -> None:
        """Wait until a job runs, if any is left: workers killed while they start lose nothing.

        On a crowded machine all of them would be.
        """
        until_s = time.monotonic() + WORK_WAIT_S
        while time.monotonic() < until_s:
            try:
                found = {job["status"] for job in self.platform.jobs()}
            except (psycopg2.OperationalError, sqlite3.OperationalError):
                found = {"queued"}  # the database is starting
            if "running" in found or "queued" not in found:
                return
            time.sleep(0.02)

    def keep_alive(self) -> None:
        """Start again what ended by itself: a worker whose database went away may."""
        for name, worker in list(self.processes.items()):
            if worker.process.poll() is not None:
                self.restart(name)

    def step(self, *arguments: str) -> Any:
        done = subprocess.run(
            [sys.executable, "-m", "tests.faults.steps", *arguments],
            cwd=ROOT,
            env=self.platform.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    def stop(self) -> None:
        self.platform.stop()
        if self.redis is not None:
            self.redis.stop()
        if self.postgres is not None:
            self.postgres.stop()

    def output(self) -> str:
        return "\n".join(line for worker in self.platform.workers for line in worker.lines[-40:])
