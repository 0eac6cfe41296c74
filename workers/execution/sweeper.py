"""The thread in every worker that repairs what dead workers left, every few seconds.

It makes lost notifications, killed workers and a wiped Redis cost seconds, not jobs.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable

from django.db import DatabaseError, connection

from engine.services.jobs import jobs
from engine.services.masks import assignments
from engine.services.models import schedules

logger = logging.getLogger(__name__)


class Sweeper(threading.Thread):
    """Reap expired job leases, expire assignments, then call `then` (Celery: notify again).

    Every `schedule_s` it also starts the trainings that are due. All workers do: the first
    to check starts a round, and no extra process has to be kept alive for it.
    """

    def __init__(
        self, *, every_s: float, schedule_s: float, then: Callable[[], object] | None = None
    ) -> None:
        super().__init__(name="sweeper", daemon=True)
        self._every_s = every_s
        self._schedule_s = schedule_s
        self._scheduled_at_s = -math.inf
        self._then = then
        self._ended = threading.Event()

    def run(self) -> None:
        try:
            while True:
                self._sweep()
                if self._ended.wait(self._every_s):
                    return
        finally:
            connection.close()

    def end(self) -> None:
        """Stop sweeping; returns when no sweep is under way."""
        self._ended.set()
        self.join(timeout=self._every_s + 1)

    def _sweep(self) -> None:
        try:
            if reaped := jobs.reap():
                logger.info("reaped %d jobs whose worker is gone", reaped)
            assignments.expire_leases()
            self._start_what_is_due()
            if self._then is not None:
                self._then()
        except DatabaseError as error:
            logger.warning("sweep failed, trying again: %s", error)
            connection.close()

    def _start_what_is_due(self) -> None:
        if time.monotonic() - self._scheduled_at_s >= self._schedule_s:
            schedules.run_due()
            self._scheduled_at_s = time.monotonic()
