"""Intervals of a worker process, read from the environment.

The queue, stall time and attempts of a job belong to its kind: engine.domain.jobs.
"""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerConfig:
    """Intervals of a worker, in seconds.

    A job of a killed worker is queued again after at most its lease + `sweep_s`.

    Attributes:
        lease_s: For every job; None leaves it to the job's kind (engine.domain.jobs).
        schedule_s: How often a worker checks whether a training is due.
        stale_after_s: A Celery worker that received no notification for so long, while it is idle
            and jobs wait, ends itself.
        turn_s: How long one notification may keep a Celery worker busy.
    """

    lease_s: float | None = None
    sweep_s: float = 5.0
    schedule_s: float = 20.0
    idle_min_s: float = 0.2
    idle_max_s: float = 1.0
    stale_after_s: float = 60.0
    turn_s: float = 60.0


def from_environment() -> WorkerConfig:
    """Read SEGLOOP_LEASE_S, the one interval that an operator may want to change.

    Raises:
        ValueError: It is not a number of at least 1.
    """
    text = os.environ.get("SEGLOOP_LEASE_S", "")
    if not text:
        return WorkerConfig()
    lease_s = float(text)
    if lease_s < 1:
        raise ValueError(f"SEGLOOP_LEASE_S must be at least 1 second, not {lease_s:g}")
    return WorkerConfig(lease_s=lease_s, sweep_s=min(WorkerConfig().sweep_s, lease_s / 2))


def worker_name(role: str) -> str:
    """Return the name of this process in leases and logs: role@host:pid."""
    return f"{role}@{socket.gethostname()}:{os.getpid()}"
