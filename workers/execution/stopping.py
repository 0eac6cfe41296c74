"""A stop flag that signal handlers may set.

threading.Event may not: its lock is not reentrant, and a handler that runs while the main thread
holds it would wait for ever.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from types import FrameType

logger = logging.getLogger(__name__)

SLICE_S = 0.1


class StopFlag:
    """The wish of this process to end. Once set it stays set."""

    def __init__(self) -> None:
        self._is_set = False

    def set(self) -> None:
        self._is_set = True

    def is_set(self) -> bool:
        return self._is_set

    def wait(self, seconds: float) -> bool:
        """Sleep for `seconds` or until set; return whether it is set."""
        ends_at_s = time.monotonic() + seconds
        while not self._is_set and (left_s := ends_at_s - time.monotonic()) > 0:
            time.sleep(min(SLICE_S, left_s))
        return self._is_set


def stop_on_signals() -> StopFlag:
    """Return a flag that SIGTERM and SIGINT set."""
    flag = StopFlag()

    def stop(_signal: int, _frame: FrameType | None) -> None:
        flag.set()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    return flag


def watch_parent(parent_pid: int, stopping: StopFlag) -> threading.Thread:
    """Set `stopping` when the process that started this one is gone (killed, not asked)."""

    def watch() -> None:
        while not stopping.wait(1.0):
            if os.getppid() != parent_pid:
                logger.warning("the parent process %d is gone, stopping", parent_pid)
                stopping.set()

    thread = threading.Thread(target=watch, name="parent-watch", daemon=True)
    thread.start()
    return thread
