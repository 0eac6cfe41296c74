"""Keep child processes running: start each again when it ends, and stop all of them in order.

Used by `manage.py up` (web server and runner) and by the supervisor of the workers (one a queue).
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from django.core.management.base import CommandError

from engine.stop_flag import StopFlag

POLL_S = 0.2

Process = subprocess.Popen[bytes]
Emit = Callable[[str], object]


@dataclass(frozen=True, slots=True, kw_only=True)
class RestartPolicy:
    """When a process that ended is started again.

    Attributes:
        min_delay_s: Waited before a restart; doubled at each one, up to `max_delay_s`.
        steady_after_s: A process that ran for longer is restarted after `min_delay_s` again.
        max_restarts: How often within `restarts_within_s`; None for no limit.
    """

    min_delay_s: float = 0.0
    max_delay_s: float = 0.0
    steady_after_s: float = 60.0
    max_restarts: int | None = None
    restarts_within_s: float = 300.0


class SupervisedProcess:
    """A process that is started again when it ends."""

    def __init__(self, name: str, start: Callable[[], Process], *, policy: RestartPolicy) -> None:
        """Start the process.

        Args:
            name: For messages.
            start: Starts it, the first time and again.
        """
        self.name = name
        self.process = start()
        self._start = start
        self._policy = policy
        self._started_at_s = time.monotonic()
        self._delay_s = policy.min_delay_s
        self._restarted_at_s: list[float] = []

    @property
    def has_ended(self) -> bool:
        return self.process.poll() is not None

    def restart_delay_s(self, *, now_s: float) -> float:
        """Return how long to wait before a restart, for a process that ended at `now_s`."""
        is_steady = now_s - self._started_at_s > self._policy.steady_after_s
        return self._policy.min_delay_s if is_steady else self._delay_s

    def restart(self, *, now_s: float) -> None:
        """Start the process again.

        Args:
            now_s: When it ended, in monotonic seconds.

        Raises:
            CommandError: It was restarted too often; that does not heal by itself.
        """
        policy = self._policy
        recent = [at_s for at_s in self._restarted_at_s if now_s - at_s < policy.restarts_within_s]
        if policy.max_restarts is not None and len(recent) >= policy.max_restarts:
            raise CommandError(
                f"the {self.name} process ended {len(recent) + 1} times within "
                f"{policy.restarts_within_s / 60:.0f} minutes, the last time with code "
                f"{self.process.returncode}"
            )
        self._restarted_at_s = [*recent, now_s]
        self._delay_s = min(2 * self.restart_delay_s(now_s=now_s), policy.max_delay_s)
        self.process = self._start()
        self._started_at_s = time.monotonic()

    def restart_after_delay(self, *, stopping: StopFlag, emit: Emit) -> None:
        """Report that the process has ended, and start it again unless `stopping` is set."""
        now_s = time.monotonic()
        delay_s = self.restart_delay_s(now_s=now_s)
        pause = f" in {delay_s:g} s" if delay_s else ""
        code = self.process.returncode
        emit(f"{self.name} ended with status {code}, starting it again{pause}")
        if not stopping.wait(delay_s):
            self.restart(now_s=now_s)


def keep_running(processes: Sequence[SupervisedProcess], *, stopping: StopFlag, emit: Emit) -> None:
    """Restart processes that end, until `stopping` is set.

    Raises:
        CommandError: A process was restarted too often.
    """
    while not stopping.wait(POLL_S):
        for process in processes:
            if process.has_ended:
                process.restart_after_delay(stopping=stopping, emit=emit)


def stop_all(processes: Sequence[SupervisedProcess], *, grace_s: float) -> None:
    """Send SIGTERM to every process; kill what is left after `grace_s`, with its group."""
    deadline_s = time.monotonic() + grace_s
    for one in processes:
        if not one.has_ended:
            one.process.terminate()
    for one in processes:
        try:
            one.process.wait(timeout=max(0.1, deadline_s - time.monotonic()))
        except subprocess.TimeoutExpired:
            _kill(one.process)
            one.process.wait()


def _kill(process: Process) -> None:
    """Kill a process, and its whole group when it leads one."""
    if os.getpgid(process.pid) == process.pid:
        os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()
