"""The task of every kind of job: `run(context)` in the module that the kind's spec names.

A module is imported when it is first needed. Most load torch; a worker of imports and exports
must not pay for that.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module

from engine.domain.jobs import JOB_SPECS, task_module_of
from workers.execution.context import Effects, JobContext

Task = Callable[[JobContext], Effects]


def task_of(kind: str) -> Task:
    """Return the function that runs a job of this kind."""
    task: Task = import_module(task_module_of(kind)).run
    return task


def load(queues: Sequence[str]) -> None:
    """Import what the jobs of these queues need, before anybody waits for one."""
    for kind, spec in JOB_SPECS.items():
        if spec.queue in queues:
            task_of(kind)
