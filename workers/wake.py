"""The one Celery task: claim and run jobs of a queue until none is left or the turn is over.

Start workers with `celery -A workers.app worker --pool solo --queues cpu` (or gpu).
"""

from __future__ import annotations

import logging
import time
from typing import Any

from celery.signals import worker_ready, worker_shutdown, worker_shutting_down
from django.db import DatabaseError, close_old_connections, connection

from engine.domain.jobs import QUEUES
from engine.services import jobs
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


@app.task(name="workers.wake.wake", ignore_result=True)  # type: ignore[untyped-decorator]
def wake(queue: str, **_later: Any) -> None:
    """Run jobs of `queue` for one turn. Extra keywords are for rolling upgrades."""
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
def _start_sweeping(**_: Any) -> None:
    sweeper = Sweeper(every_s=from_environment().sweep_s, then=_ring_for_what_waits)
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
    for queue in QUEUES:
        for _ in range(min(2, jobs.num_claimable(queue))):
            ring(queue)
