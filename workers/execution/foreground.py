"""Run one job in this process, for commands: it is claimed in the transaction that queues it.

A runner that is up too cannot take it first; when this process is killed, a runner goes on.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from uuid import UUID

from django.db import connection, transaction

from engine.domain.jobs import QUEUES
from engine.models import Job
from engine.services.jobs import jobs
from engine.stop_flag import StopFlag
from workers import config
from workers.execution.run_job import Run, run_claim

POLL_S = 1.0

Emit = Callable[[str], object]


def queue_and_run(queue: Callable[[], UUID], *, stopping: StopFlag, emit: Emit) -> Run:
    """Call `queue`, which enqueues a job and returns its id, and run that job to its end."""
    worker = config.worker_name("command")
    lease_s = config.from_environment().lease_s
    with transaction.atomic():
        claim = jobs.claim(QUEUES, worker=worker, lease_s=lease_s, only=queue())
    if claim is None:
        raise RuntimeError("the job that was just queued is gone")
    ended = threading.Event()
    printer = threading.Thread(target=_print_progress, args=(claim.id, ended, emit), daemon=True)
    printer.start()
    try:
        return run_claim(claim, worker=worker, stopping=stopping)
    finally:
        ended.set()
        printer.join()


def _print_progress(job_id: UUID, ended: threading.Event, emit: Emit) -> None:
    """Print the job's progress whenever it changed."""
    printed = ""
    try:
        while not ended.wait(POLL_S):
            row = Job.objects.filter(pk=job_id).values_list("progress_pct", "progress_text").first()
            line = f"{row[0]:3d} % {row[1]}" if row and row[1] else ""
            if line and line != printed:
                emit(line)
                printed = line
    finally:
        connection.close()
