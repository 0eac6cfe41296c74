"""The one Celery task: claim and run jobs of a queue until none is left or its time is over.

A worker that has lost its broker connection without noticing receives no notifications any more:
while jobs of its queues wait and it is idle, it ends itself, and its supervisor starts another.
Start workers with `celery -A workers.celery.app worker --pool solo --queues cpu` (or files, or
gpu).
"""

from __future__ import annotations

import logging
import os
import signal
import time
from dataclasses import dataclass
from typing import Any

from celery.signals import worker_ready, worker_shutdown, worker_shutting_down
from django.db import DatabaseError, close_old_connections, connection

from engine.domain.jobs import QUEUES
from engine.services.jobs import jobs
from engine.stop_flag import StopFlag
from workers import tasks
from workers.celery.app import app
from workers.celery.notify import TASK_NAME, notify
from workers.config import from_environment, worker_name
from workers.execution.run_job import run_next
from workers.execution.runner import line_of
from workers.execution.sweeper import Sweeper

logger = logging.getLogger(__name__)

_stopping = StopFlag()
_sweepers: list[Sweeper] = []


@dataclass
class NotificationState:
    """When this worker last received a notification, and whether it runs jobs now."""

    queues: tuple[str, ...] = ()
    last_notified_at_s: float = 0.0
    """Monotonic seconds."""
    is_busy: bool = False

    def is_stale(self, *, now_s: float, has_waiting_jobs: bool, after_s: float) -> bool:
        """Tell whether jobs have waited for more than `after_s` though this worker is idle.

        Args:
            now_s: Monotonic seconds.
            has_waiting_jobs: Whether a queue of this worker has a claimable job now. Without one,
                and while the worker is busy, the waiting time starts anew.
        """
        if self.is_busy or not has_waiting_jobs:
            self.last_notified_at_s = now_s
            return False
        return now_s - self.last_notified_at_s > after_s


_state = NotificationState()


@app.task(name=TASK_NAME, ignore_result=True)  # type: ignore[untyped-decorator]
def run_queue(queue: str, **_later: Any) -> None:
    """Run jobs of `queue` for up to `turn_s`. Extra keywords are for rolling upgrades."""
    _state.last_notified_at_s, _state.is_busy = time.monotonic(), True
    try:
        _run_jobs(queue)
    finally:
        _state.last_notified_at_s, _state.is_busy = time.monotonic(), False


def _run_jobs(queue: str) -> None:
    config = from_environment()
    worker = worker_name(f"celery-{queue}")
    ends_at_s = time.monotonic() + config.turn_s
    while not _stopping.is_set():
        try:
            close_old_connections()
            run = run_next((queue,), worker=worker, lease_s=config.lease_s, stopping=_stopping)
        except DatabaseError as error:
            logger.warning("the database did not answer; a sweep notifies again: %s", error)
            connection.close()
            return
        if run is None:
            return
        logger.info(line_of(run))
        if time.monotonic() > ends_at_s:
            notify(queue)
            return


@worker_ready.connect  # type: ignore[untyped-decorator]
def _start_sweeping(sender: Any, **_: Any) -> None:
    _state.queues = tuple(q for q in sender.app.amqp.queues.consume_from if q in QUEUES)
    tasks.load(_state.queues)
    _state.last_notified_at_s = time.monotonic()
    config = from_environment()
    sweeper = Sweeper(
        every_s=config.sweep_s, schedule_s=config.schedule_s, then=_notify_of_waiting_jobs
    )
    sweeper.start()
    _sweepers.append(sweeper)


@worker_shutting_down.connect  # type: ignore[untyped-decorator]
def _stop_the_running_job(**_: Any) -> None:
    _stopping.set()


@worker_shutdown.connect  # type: ignore[untyped-decorator]
def _stop_sweeping(**_: Any) -> None:
    for sweeper in _sweepers:
        sweeper.end()
    _sweepers.clear()


def _notify_of_waiting_jobs() -> None:
    """Notify the workers of every queue with waiting jobs; end this worker when it is stale."""
    waiting = {queue: jobs.num_claimable(queue) for queue in QUEUES}
    for queue, number in waiting.items():
        for _ in range(min(2, number)):
            notify(queue)
    has_waiting_jobs = any(waiting[queue] for queue in _state.queues)
    after_s = from_environment().stale_after_s
    now_s = time.monotonic()
    if _state.is_stale(now_s=now_s, has_waiting_jobs=has_waiting_jobs, after_s=after_s):
        logger.error(
            "jobs have waited for %g s but no notification was received: ending this worker",
            after_s,
        )
        os.kill(os.getpid(), signal.SIGTERM)
