"""The embedded runner: polls the Job table, one job at a time in this process.

A Celery deployment uses workers.celery.task instead; both run jobs by workers.execution.run_job.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from django.db import DatabaseError, close_old_connections, connection

from engine.stop_flag import StopFlag
from workers.config import WorkerConfig, worker_name
from workers.execution.run_job import Run, RunOutcome, run_next
from workers.execution.sweeper import Sweeper

logger = logging.getLogger(__name__)

Emit = Callable[[str], object]


def run_lane(
    queues: tuple[str, ...],
    *,
    config: WorkerConfig,
    stopping: StopFlag,
    emit: Emit,
    once: bool = False,
) -> int:
    """Run jobs of `queues` until `stopping` is set, or with `once` until none is claimable.

    Returns how many jobs were run.
    """
    worker = worker_name("+".join(queues))
    sweeper = Sweeper(every_s=config.sweep_s, schedule_s=config.schedule_s)
    sweeper.start()
    num_run = 0
    idle_s = config.idle_min_s
    try:
        while not stopping.is_set():
            run = _run_next(queues, worker=worker, config=config, stopping=stopping)
            if run is not None:
                num_run += 1
                idle_s = config.idle_min_s
                emit(line_of(run))
            elif once:
                break
            else:
                stopping.wait(idle_s)
                idle_s = min(1.5 * idle_s, config.idle_max_s)
    finally:
        sweeper.end()
    return num_run


def line_of(run: Run) -> str:
    """Describe the outcome of a job in one line."""
    line = f"{run.claim.queue} {run.claim.kind} {run.claim.id} {run.outcome} in {run.seconds:.1f} s"
    return f"{line}: {run.message}" if run.outcome is RunOutcome.FAILED else line


def _run_next(
    queues: tuple[str, ...], *, worker: str, config: WorkerConfig, stopping: StopFlag
) -> Run | None:
    """Run one job; a database that went away is waited for, it does not end the lane."""
    try:
        close_old_connections()
        return run_next(queues, worker=worker, lease_s=config.lease_s, stopping=stopping)
    except DatabaseError as error:
        logger.warning("the database did not answer, trying again: %s", error)
        connection.close()
        stopping.wait(config.idle_max_s)
        return None
