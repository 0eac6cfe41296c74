"""The thread that keeps a running job's lease alive, on its own database connection.

It stops extending when the job must end, sets a flag for the task, and kills this process when the
task does not react: a task hung in C code cannot be stopped from inside Python in any other way.
"""

from __future__ import annotations

import enum
import logging
import os
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from django.db import DatabaseError, connection

from engine.domain.jobs import CANCEL_GRACE_S, KILL_GRACE_S
from engine.domain.states import AttemptOutcome
from engine.services.jobs import jobs

logger = logging.getLogger(__name__)

TICK_S = 0.5
BEAT_AT_LEAST_EVERY_S = 3.0
SHOW_PROGRESS_EVERY_S = 2.0


class StopReason(enum.Enum):
    """StopReason a job must stop in this worker."""

    CANCELLED = "it was cancelled"
    NOT_OURS = "its lease was lost"
    SILENT = "no heartbeat got through for a whole lease"
    STALLED = "no progress for {stall_s:g} s"
    TIMED_OUT = "not done after {deadline_s:g} s"


PROMPTLY = (StopReason.CANCELLED, StopReason.STALLED, StopReason.TIMED_OUT)
"""When a task must end soon. One that only lost its lease, on a machine that is too busy to beat,
may come to its end: killing it would make the next attempt start cold, and slower still."""
OUTCOMES = {
    StopReason.STALLED: AttemptOutcome.STALLED,
    StopReason.TIMED_OUT: AttemptOutcome.TIMED_OUT,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How long a job may do what, in seconds. The graces run from the moment it must stop."""

    stall_s: float
    deadline_s: float
    sigterm_after_s: float = CANCEL_GRACE_S
    sigkill_after_s: float = CANCEL_GRACE_S + KILL_GRACE_S


@dataclass(frozen=True, slots=True)
class Reported:
    """The latest progress of a task. `moved_at_s` is a monotonic time."""

    percent: int
    text: str
    moved_at_s: float


class Progress:
    """Progress that the task thread writes and the heartbeat thread reads."""

    def __init__(self) -> None:
        self.latest = Reported(percent=0, text="", moved_at_s=time.monotonic())

    def report(self, fraction: float, text: str) -> None:
        percent = round(100 * min(max(fraction, 0.0), 1.0))
        self.latest = Reported(percent=percent, text=text[:200], moved_at_s=time.monotonic())


class Heartbeat(threading.Thread):
    """Extend the lease every third of it, or sooner to show new progress.

    `lost` is set when somebody else owns the job, when it is to be cancelled, when its progress
    stood still, when its deadline passed, or when no heartbeat got through for a whole lease
    (database away, machine asleep): this worker must then write nothing. A task that runs on gets
    its process a SIGTERM and then a SIGKILL; whoever started the process starts another.
    """

    def __init__(
        self,
        claim: jobs.ClaimedJob,
        *,
        progress: Progress,
        limits: Limits,
        kill: Callable[[int, int], object] = os.kill,
    ) -> None:
        super().__init__(name=f"heartbeat-{claim.id}", daemon=True)
        self.lost = threading.Event()
        self.stop_reason: StopReason | None = None
        self._claim = claim
        self._progress = progress
        self._lease_s = claim.lease_s
        self._limits = limits
        self._kill = kill
        self._ended = threading.Event()
        self._started_at_s = self._beaten_at_s = time.monotonic()
        self._shown: tuple[int, str] = (0, "")

    def run(self) -> None:
        try:
            while not self._ended.wait(min(TICK_S, self._lease_s / 3)):
                self._tick()
                if self.lost.is_set():
                    self._ensure_end()
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

    @property
    def may_write(self) -> bool:
        """Whether effects may be applied: not lost, and a heartbeat within the lease.

        Asked of this machine's own monotonic clock, so it also holds right after the process was
        frozen, before the thread has run again.
        """
        return not self.lost.is_set() and time.monotonic() - self._beaten_at_s <= self._lease_s

    @property
    def reason(self) -> str:
        """StopReason the job must stop, in words; empty while it need not."""
        if self.stop_reason is None:
            return ""
        return self.stop_reason.value.format(
            stall_s=self._limits.stall_s, deadline_s=self._limits.deadline_s
        )

    def _tick(self) -> None:
        now_s = time.monotonic()
        reported = self._progress.latest
        if now_s - self._beaten_at_s > self._lease_s:
            self._lose(StopReason.SILENT)
        elif now_s - self._started_at_s > self._limits.deadline_s:
            self._lose(StopReason.TIMED_OUT)
        elif now_s - reported.moved_at_s > self._limits.stall_s:
            self._lose(StopReason.STALLED)
        elif self._is_due(now_s, reported):
            self._beat(reported)

    def _is_due(self, now_s: float, reported: Reported) -> bool:
        waited_s = now_s - self._beaten_at_s
        is_news = (reported.percent, reported.text) != self._shown
        due_s = min(self._lease_s / 3, BEAT_AT_LEAST_EVERY_S)  # it is also how a cancel arrives
        return waited_s >= due_s or (is_news and waited_s >= SHOW_PROGRESS_EVERY_S)

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
            self._lose(
                StopReason.CANCELLED if jobs.is_cancelled(self._claim) else StopReason.NOT_OURS
            )

    def _lose(self, reason: StopReason) -> None:
        self.stop_reason = reason
        logger.warning("job %s (%s) must stop: %s", self._claim.id, self._claim.kind, self.reason)
        self.lost.set()
        self._release_to_queue()

    def _release_to_queue(self) -> None:
        """Let another worker take a stalled or late job now; its fence keeps this one out."""
        if self.stop_reason not in OUTCOMES:
            return
        try:
            jobs.fail(
                self._claim, error=self.reason, retryable=True, outcome=OUTCOMES[self.stop_reason]
            )
        except DatabaseError as error:
            logger.warning("job %s waits for its lease to end: %s", self._claim.id, error)

    def _ensure_end(self) -> None:
        """Wait for the task to return; else send SIGTERM, then SIGKILL to this process."""
        limits = self._limits
        patience_s = limits.sigterm_after_s if self.stop_reason in PROMPTLY else limits.stall_s
        if self._ended.wait(patience_s):
            return
        logger.error("job %s does not stop: SIGTERM to this process", self._claim.id)
        self._kill(os.getpid(), signal.SIGTERM)
        if self._ended.wait(limits.sigkill_after_s - limits.sigterm_after_s):
            return
        logger.error("job %s does not stop: SIGKILL to this process", self._claim.id)
        try:
            jobs.end_cancelled(self._claim)
        except DatabaseError:
            logger.warning("job %s waits for its lease to end", self._claim.id)
        self._kill(os.getpid(), signal.SIGKILL)
