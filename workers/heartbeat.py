"""The thread that keeps a running job's lease alive, on its own database connection.

It stops extending when the job's progress stands still, so a hung job does not live for ever.
"""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass

from django.db import DatabaseError, connection

from engine.services import jobs

logger = logging.getLogger(__name__)

TICK_S = 0.5
SHOW_PROGRESS_EVERY_S = 2.0


@dataclass(frozen=True, slots=True)
class Reported:
    """What a task said last. `moved_at_s` is a monotonic time."""

    percent: int
    text: str
    moved_at_s: float


class Progress:
    """What the task thread writes and the heartbeat thread reads."""

    def __init__(self) -> None:
        self.latest = Reported(percent=0, text="", moved_at_s=time.monotonic())

    def report(self, fraction: float, text: str) -> None:
        percent = round(100 * min(max(fraction, 0.0), 1.0))
        self.latest = Reported(percent=percent, text=text[:200], moved_at_s=time.monotonic())


class Heartbeat(threading.Thread):
    """Extend the lease every third of it, or sooner to show new progress.

    `lost` is set when somebody else owns the job, when it was cancelled, when its progress stood
    still for `stall_s`, or when no heartbeat got through for a whole lease (database away, machine
    asleep): in each case another worker may already run the job, so this one must write nothing.
    """

    def __init__(self, claim: jobs.ClaimedJob, *, progress: Progress, stall_s: float) -> None:
        super().__init__(name=f"heartbeat-{claim.id}", daemon=True)
        self.lost = threading.Event()
        self._claim = claim
        self._progress = progress
        self._lease_s = claim.lease_s
        self._stall_s = stall_s
        self._ended = threading.Event()
        self._beaten_at_s = time.monotonic()
        self._shown: tuple[int, str] = (0, "")

    def run(self) -> None:
        try:
            while not self._ended.wait(min(TICK_S, self._lease_s / 3)):
                self._tick()
                if self.lost.is_set():
                    return
        except Exception:  # without a beat nobody knows whose the job is
            logger.exception("the heartbeat of job %s broke", self._claim.id)
            self.lost.set()
        finally:
            connection.close()

    def end(self) -> None:
        """Stop beating; returns when no beat is under way."""
        self._ended.set()
        self.join()

    def _tick(self) -> None:
        now_s = time.monotonic()
        reported = self._progress.latest
        if now_s - self._beaten_at_s > self._lease_s:
            self._lose("no heartbeat got through for a whole lease")
        elif now_s - reported.moved_at_s > self._stall_s:
            self._lose(f"no progress for {self._stall_s:g} s")
        elif self._is_due(now_s, reported):
            self._beat(reported)

    def _is_due(self, now_s: float, reported: Reported) -> bool:
        waited_s = now_s - self._beaten_at_s
        is_news = (reported.percent, reported.text) != self._shown
        return waited_s >= self._lease_s / 3 or (is_news and waited_s >= SHOW_PROGRESS_EVERY_S)

    def _beat(self, reported: Reported) -> None:
        started_s = time.monotonic()
        try:
            is_ours = jobs.heartbeat(self._claim, progress_pct=reported.percent, text=reported.text)
        except DatabaseError as error:
            logger.warning("heartbeat of job %s failed, trying again: %s", self._claim.id, error)
            connection.close()
            return
        if is_ours:
            self._beaten_at_s = started_s
            self._shown = (reported.percent, reported.text)
        else:
            self._lose("lease lost or job cancelled")

    def _lose(self, why: str) -> None:
        logger.warning("job %s (%s) is no longer ours: %s", self._claim.id, self._claim.kind, why)
        self.lost.set()
