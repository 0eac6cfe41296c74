"""Notice in a child process that its parent has ended, even by kill -9.

The parent holds the writing end of a pipe that is never written to; children read the other end.
Its end of file means that the parent has ended. That works on every Unix and needs no polling.
This module also holds the gunicorn hooks of the web server under `manage.py up`.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Mapping
from functools import cache
from subprocess import Popen
from typing import Any

PIPE_VARIABLE = "SEGLOOP_PARENT_PIPE"


def start_child(
    command: list[str], *, environment: Mapping[str, str] | None = None, **options: Any
) -> Popen[bytes]:
    """Start a process that can watch this one.

    Args:
        environment: Variables in addition to those of this process.
        options: Of subprocess.Popen.
    """
    variables = {**os.environ, **(environment or {}), PIPE_VARIABLE: str(_reading_end())}
    return Popen(  # noqa: S603 - the callers' fixed commands
        command, env=variables, pass_fds=(_reading_end(),), **options
    )


def on_parent_exit(call: Callable[[], object]) -> None:
    """Call a function, in another thread, when the parent of this process has ended.

    Does nothing in a process that was not started by `start_child`.
    """
    text = os.environ.pop(PIPE_VARIABLE, "")  # it would name no pipe in processes started from here
    if text:
        watch = threading.Thread(target=_wait, args=(int(text), call), name="parent-watch")
        watch.daemon = True
        watch.start()


def post_worker_init(worker: Any) -> None:
    """Stop gunicorn's master when its parent has ended.

    A gunicorn hook: threads do not survive the fork that starts the worker, so the worker watches.
    """
    master_pid = worker.ppid

    def stop_master() -> None:
        if os.getppid() == master_pid:
            os.kill(master_pid, signal.SIGTERM)

    on_parent_exit(stop_master)


def _wait(read_fd: int, call: Callable[[], object]) -> None:
    os.read(read_fd, 1)
    call()


@cache
def _reading_end() -> int:
    """Return the reading end of a pipe that stays open for as long as this process lives."""
    read_fd, _write_fd = os.pipe()  # children inherit neither unless it is passed to them
    return read_fd
