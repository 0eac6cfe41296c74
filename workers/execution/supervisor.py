"""Keeps one runner process per lane alive, so that a quick embed never waits for a training.

It loads no model and opens no database.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings

from workers.execution.stopping import StopFlag

RESTART_MIN_S = 0.5
RESTART_MAX_S = 30.0
STEADY_AFTER_S = 60.0  # a child that lived this long restarts without delay again
HEAVY_NICENESS = 10
FILES_NICENESS = 5


def runner_command(queue: str) -> list[str]:
    """The embedded worker of a queue: polls the Job table."""
    manage = Path(settings.BASE_DIR) / "manage.py"
    return [
        *(sys.executable, str(manage), "runner", "--queues", queue),
        *("--parent-pid", str(os.getpid())),
    ]


def celery_command(queue: str) -> list[str]:
    """The Celery worker of a queue: torch and forked workers do not mix, hence the solo pool."""
    return [
        *(sys.executable, "-m", "celery", "-A", "workers.celery.app", "worker", "--pool", "solo"),
        *("--queues", queue, "--hostname", f"{queue}-{os.getpid()}@%h"),
        *("--without-mingle", "--without-gossip", "--loglevel", "INFO"),
    ]


Command = Callable[[str], list[str]]


@dataclass
class _Child:
    queue: str
    command: Command
    process: subprocess.Popen[bytes]
    started_s: float
    delay_s: float = RESTART_MIN_S


def supervise(
    queues: tuple[str, ...],
    *,
    niceness: Mapping[str, int],
    stopping: StopFlag,
    emit: Callable[[str], object],
    command: Command = runner_command,
    grace_s: float = 15.0,
) -> None:
    """Run one child a queue until `stopping`; restart a child that ended or was killed.

    On stop each child is asked by SIGTERM, and killed after `grace_s`.
    """
    children = [_start(queue, command, niceness=niceness.get(queue, 0)) for queue in queues]
    try:
        while not stopping.wait(0.2):
            for child in children:
                if child.process.poll() is not None:
                    _restart(child, niceness=niceness, stopping=stopping, emit=emit)
    finally:
        _stop(children, grace_s=grace_s)


def _start(queue: str, command: Command, *, niceness: int) -> _Child:
    process = subprocess.Popen(command(queue))  # noqa: S603 - one of the two above
    if niceness:
        os.setpriority(os.PRIO_PROCESS, process.pid, niceness)
    return _Child(queue=queue, command=command, process=process, started_s=time.monotonic())


def _restart(
    child: _Child,
    *,
    niceness: Mapping[str, int],
    stopping: StopFlag,
    emit: Callable[[str], object],
) -> None:
    lived_s = time.monotonic() - child.started_s
    delay_s = RESTART_MIN_S if lived_s > STEADY_AFTER_S else child.delay_s
    emit(
        f"{child.queue} lane ended with status {child.process.returncode}, "
        f"starting it again in {delay_s:g} s"
    )
    if stopping.wait(delay_s):
        return
    fresh = _start(child.queue, child.command, niceness=niceness.get(child.queue, 0))
    child.process, child.started_s = fresh.process, fresh.started_s
    child.delay_s = min(2 * delay_s, RESTART_MAX_S)


def _stop(children: list[_Child], *, grace_s: float) -> None:
    deadline_s = time.monotonic() + grace_s
    for child in children:
        child.process.terminate()
    for child in children:
        try:
            child.process.wait(timeout=max(0.1, deadline_s - time.monotonic()))
        except subprocess.TimeoutExpired:
            child.process.kill()
            child.process.wait()
