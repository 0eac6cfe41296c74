"""A stop flag that signal handlers may set.

threading.Event may not be used: its lock is not reentrant, and a handler that runs while the main
thread holds it would wait for ever.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Sequence
from types import FrameType

SLICE_S = 0.1


class StopFlag:
    """A request to this process to end. Once set it stays set."""

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


def stop_on_signals(
    signals: Sequence[signal.Signals] = (signal.SIGTERM, signal.SIGINT),
) -> StopFlag:
    """Return a flag that these signals set."""
    flag = StopFlag()

    def stop(_signal: int, _frame: FrameType | None) -> None:
        flag.set()

    for number in signals:
        signal.signal(number, stop)
    return flag
