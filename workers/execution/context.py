"""The input and output of a task.

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
    """The job of a task, and how the task reports progress."""

    job: jobs.ClaimedJob
    args: Mapping[str, Any]
    project: Project
    worker: str
    _progress: Progress = field(repr=False)
    _must_stop: Callable[[], bool] = field(repr=False)

    def report(self, fraction: float, text: str = "") -> None:
        """Report the progress (0 to 1); it also proves that the task is alive."""
        self._progress.report(fraction, text)

    def should_stop(self) -> bool:
        """True when the job was cancelled or lost, or this process is asked to end."""
        return self._must_stop()

    def publish(self, effects: Effects) -> None:
        """Apply a part's effects now; leave by JobStopped when the job is no longer ours."""
        if not jobs.publish(self.job, effects=effects):
            raise JobStopped

    def publish_quietly(self, effects: Effects) -> None:
        """Publish what only shows progress; unlike `publish`, does not raise for a lost job."""
        jobs.publish(self.job, effects=effects)

    def checkpoint(self, fraction: float, text: str = "") -> None:
        """Report progress, and leave by JobStopped when the job should stop."""
        self.report(fraction, text)
        if self.should_stop():
            raise JobStopped
