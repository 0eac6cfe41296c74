"""Keep one worker process per queue running, so that quick jobs never wait for a training.

It loads no model and opens no database.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from django.conf import settings

from engine.parent_watch import start_child
from engine.stop_flag import StopFlag
from engine.supervision import Process, RestartPolicy, SupervisedProcess, keep_running, stop_all

RESTARTS = RestartPolicy(min_delay_s=0.5, max_delay_s=30.0, steady_after_s=60.0)
HEAVY_NICENESS = 10
FILES_NICENESS = 5

Command = Callable[[str], list[str]]


def runner_command(queue: str) -> list[str]:
    """Return the command of the embedded worker of a queue, which polls the Job table."""
    manage = Path(settings.BASE_DIR) / "manage.py"
    return [sys.executable, str(manage), "runner", "--queues", queue]


def celery_command(queue: str) -> list[str]:
    """Return the command of the Celery worker of a queue.

    The pool is `solo`, because torch does not work in forked workers.
    """
    return [
        *(sys.executable, "-m", "celery", "-A", "workers.celery.app", "worker", "--pool", "solo"),
        *("--queues", queue, "--hostname", f"{queue}-{os.getpid()}@%h"),
        *("--without-mingle", "--without-gossip", "--loglevel", "INFO"),
    ]


def supervise(
    queues: tuple[str, ...],
    *,
    niceness: Mapping[str, int],
    stopping: StopFlag,
    emit: Callable[[str], object],
    command: Command = runner_command,
    grace_s: float = 15.0,
) -> None:
    """Run one worker per queue until `stopping` is set; restart a worker that ended.

    On stop each worker gets SIGTERM, and is killed after `grace_s`.
    """
    workers: list[SupervisedProcess] = []
    try:
        for queue in queues:
            start = partial(_start, command(queue), niceness=niceness.get(queue, 0))
            workers.append(SupervisedProcess(f"{queue} lane", start, policy=RESTARTS))
        keep_running(workers, stopping=stopping, emit=emit)
    finally:
        stop_all(workers, grace_s=grace_s)


def _start(command: list[str], *, niceness: int) -> Process:
    process = start_child(command)
    if niceness:
        os.setpriority(os.PRIO_PROCESS, process.pid, niceness)
    return process
