"""What a task gets and what it returns.

A task computes with no transaction open and returns its effects; the job's fence guards them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from engine.models import Project
from engine.services.jobs import jobs
from workers.execution.heartbeat import Progress

Effects = Callable[[], object]


class JobStopped(Exception):  # noqa: N818 - a request that was followed, not an error
    """Leaves a task early because `should_stop()` became true."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobContext:
    """What a task may know and say while it computes."""

    job: jobs.ClaimedJob
    args: Mapping[str, Any]
    project: Project
    worker: str
    _progress: Progress = field(repr=False)
    _must_stop: Callable[[], bool] = field(repr=False)

    def report(self, fraction: float, text: str = "") -> None:
        """Say how far the job is (0 to 1); also proves that the task is alive."""
        self._progress.report(fraction, text)

    def should_stop(self) -> bool:
        """True when the job was cancelled or lost, or this process is asked to end."""
        return self._must_stop()

    def publish(self, effects: Effects) -> None:
        """Apply a part's effects now; leave by JobStopped when the job is no longer ours."""
        if not jobs.publish(self.job, effects=effects):
            raise JobStopped

    def publish_quietly(self, effects: Effects) -> None:
        """Do as `publish`, for what only shows how the work goes: a lost job is told elsewhere."""
        jobs.publish(self.job, effects=effects)

    def checkpoint(self, fraction: float, text: str = "") -> None:
        """Report progress, and leave by JobStopped when the job should stop."""
        self.report(fraction, text)
        if self.should_stop():
            raise JobStopped
