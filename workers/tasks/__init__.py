"""The task of every job kind, as a table. Its module is imported when it is first needed.

Most tasks load torch; a worker of imports and exports must not pay for that.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from types import ModuleType

from engine.domain.jobs import SPECS, JobKind
from workers.execution.context import Effects, JobContext

Task = Callable[[JobContext], Effects]

MODULE_NAMES: Mapping[JobKind, str] = {
    kind: {JobKind.IMPORT: "import_dataset"}.get(kind, kind.value) for kind in JobKind
}


def _module_of(kind: JobKind) -> ModuleType:
    return import_module(f"workers.tasks.{MODULE_NAMES[kind]}")


def _task_in_module_of(kind: JobKind) -> Task:
    def run(context: JobContext) -> Effects:
        effects: Effects = _module_of(kind).run(context)
        return effects

    return run


TASKS: Mapping[JobKind, Task] = {kind: _task_in_module_of(kind) for kind in JobKind}


def task_of(kind: JobKind | str) -> Task:
    """Return the function that runs a job of this kind."""
    return TASKS[JobKind(kind)]


def load(queues: Sequence[str]) -> None:
    """Import what the jobs of these queues need, before anybody waits for one."""
    for kind, spec in SPECS.items():
        if spec.queue in queues:
            _module_of(kind)
