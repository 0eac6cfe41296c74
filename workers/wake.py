"""The one Celery task: claim and run jobs of a queue until none is left or the turn is over.

A worker that has lost its broker connection without noticing hears no bell any more: while jobs
of its queues wait and it does nothing, it ends itself, and whoever started it starts another.
Start workers with `celery -A workers.app worker --pool solo --queues cpu`
(or files, or gpu).
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
from workers import tasks
from workers.app import app
from workers.config import from_environment, worker_name
from workers.dispatch import ring
from workers.run_job import run_next
from workers.runner import line_of
from workers.stopping import StopFlag
from workers.sweeper import Sweeper

logger = logging.getLogger(__name__)

_stopping = StopFlag()
_sweepers: list[Sweeper] = []


@dataclass
class Hearing:
    """When this worker last heard a bell, and whether it runs jobs now. Monotonic seconds."""

    queues: tuple[str, ...] = ()
    heard_at_s: float = 0.0
    is_busy: bool = False

    def is_deaf(self, *, now_s: float, waits: bool, after_s: float) -> bool:
        """Tell whether work has waited for `after_s` though this worker is idle."""
        if self.is_busy or not waits:
            self.heard_at_s = now_s
            return False
        return now_s - self.heard_at_s > after_s


_hearing = Hearing()


@app.task(name="workers.wake.wake", ignore_result=True)  # type: ignore[untyped-decorator]
def wake(queue: str, **_later: Any) -> None:
    """Run jobs of `queue` for one turn. Extra keywords are for rolling upgrades."""
    _hearing.heard_at_s, _hearing.is_busy = time.monotonic(), True
    try:
        _take_turn(queue)
    finally:
        _hearing.heard_at_s, _hearing.is_busy = time.monotonic(), False


def _take_turn(queue: str) -> None:
    config = from_environment()
    worker = worker_name(f"celery-{queue}")
    ends_at_s = time.monotonic() + config.turn_s
    while not _stopping.is_set():
        try:
            close_old_connections()
            run = run_next((queue,), worker=worker, lease_s=config.lease_s, stopping=_stopping)
        except DatabaseError as error:
            logger.warning("the database did not answer; a sweep rings again: %s", error)
            connection.close()
            return
        if run is None:
            return
        logger.info(line_of(run))
        if time.monotonic() > ends_at_s:
            ring(queue)
            return


@worker_ready.connect  # type: ignore[untyped-decorator]
def _start_sweeping(sender: Any, **_: Any) -> None:
    _hearing.queues = tuple(q for q in sender.app.amqp.queues.consume_from if q in QUEUES)
    tasks.load(_hearing.queues)
    _hearing.heard_at_s = time.monotonic()
    config = from_environment()
    sweeper = Sweeper(
        every_s=config.sweep_s, schedule_s=config.schedule_s, then=_ring_for_what_waits
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


def _ring_for_what_waits() -> None:
    waiting = {queue: jobs.num_claimable(queue) for queue in QUEUES}
    for queue, number in waiting.items():
        for _ in range(min(2, number)):
            ring(queue)
    waits = any(waiting[queue] for queue in _hearing.queues)
    after_s = from_environment().deaf_after_s
    if _hearing.is_deaf(now_s=time.monotonic(), waits=waits, after_s=after_s):
        logger.error("jobs have waited for %g s but no bell was heard: ending this worker", after_s)
        os.kill(os.getpid(), signal.SIGTERM)
