"""How a worker process behaves, read from the environment once.

What a job needs (queue, stall time, attempts) is data of its kind: engine.domain.jobs.
"""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerConfig:
    """Seconds that rule a worker.

    A job of a killed worker is queued again after at most its lease + `sweep_s`.
    schedule_s: how often a worker looks whether a training is due.
    lease_s: for every job; None leaves it to the job's kind (engine.domain.jobs).
    """

    lease_s: float | None = None
    sweep_s: float = 5.0
    schedule_s: float = 20.0
    idle_min_s: float = 0.2
    idle_max_s: float = 1.0
    deaf_after_s: float = 60.0  # a Celery worker that hears no bell for work that waits ends itself
    turn_s: float = 60.0  # how long one ring of the bell may keep a Celery worker


def from_environment() -> WorkerConfig:
    """Read SEGLOOP_LEASE_S, the one value that an operator may want to change."""
    text = os.environ.get("SEGLOOP_LEASE_S", "")
    if not text:
        return WorkerConfig()
    lease_s = float(text)
    if lease_s < 1:
        raise ValueError(f"SEGLOOP_LEASE_S must be at least 1 second, not {lease_s:g}")
    return WorkerConfig(lease_s=lease_s, sweep_s=min(WorkerConfig().sweep_s, lease_s / 2))


def worker_name(role: str) -> str:
    """Name this process for leases and logs: role@host:pid."""
    return f"{role}@{socket.gethostname()}:{os.getpid()}"
