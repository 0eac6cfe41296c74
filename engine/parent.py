"""gunicorn hooks of the web server under `manage.py up`: it ends when `up` does, however that went.

`up` holds the writing end of a pipe that is never written to. Its end of file means that `up` has
ended, even by kill -9; unlike a parent's process id it works on every Unix and needs no polling.
"""

from __future__ import annotations

import os
import signal
import threading
from typing import Any

PIPE_VARIABLE = "SEGLOOP_PARENT_PIPE"


def post_worker_init(worker: Any) -> None:
    """Watch from the worker: threads do not survive the fork that starts it."""
    read_fd = int(os.environ[PIPE_VARIABLE])
    threading.Thread(target=_stop_at_end_of, args=(read_fd, worker.ppid), daemon=True).start()


def _stop_at_end_of(read_fd: int, master_pid: int) -> None:
    os.read(read_fd, 1)
    if os.getppid() == master_pid:
        os.kill(master_pid, signal.SIGTERM)
