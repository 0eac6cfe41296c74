"""Stop a run cleanly: SIGTERM and Ctrl-C ask once, and the loop saves before it ends."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class StopRequest:
    """Whether somebody has asked this process to stop; fits `should_stop`."""

    def __init__(self) -> None:
        self.is_asked = False

    def __call__(self) -> bool:
        return self.is_asked

    def ask(self, number: int, frame: FrameType | None) -> None:
        """Remember the first signal; a second Ctrl-C does not wait for the step to end."""
        if self.is_asked and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.is_asked = True


@contextmanager
def stop_on_signals() -> Iterator[StopRequest]:
    """Within the context, SIGTERM and SIGINT only set the request. Main thread only."""
    request = StopRequest()
    before = {number: signal.signal(number, request.ask) for number in _ASKING}
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


_ASKING = (signal.SIGTERM, signal.SIGINT)
