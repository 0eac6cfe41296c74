"""What the workers under test add to the product's: a job whose effect can be counted.

Real effects are keyed, so that a second one is harmless; here each is one more row. Some workers
also pause between computing and writing, longer than their lease: zombies, whom only the fence
keeps out.
"""

from __future__ import annotations

import os
import random
import sys
import time
from types import ModuleType
from typing import Any

from tests.faults import mutations


def install() -> None:
    """Replace the task of `prelabel_image` and slow some finishes down; apply the mutation."""
    from engine.domain.jobs import JobKind, task_module_of
    from engine.models import Job, StateChange
    from workers.execution import run_job

    zombie_share = float(os.environ.get("SEGLOOP_TEST_ZOMBIES", "0"))
    pause_s = float(os.environ.get("SEGLOOP_TEST_PAUSE_S", "0"))
    step_s = float(os.environ.get("SEGLOOP_TEST_STEP_S", "0.05"))
    finish = run_job.jobs.finish

    def note(context: Any) -> Any:
        steps = random.randint(1, 4)
        for step in range(steps):
            context.checkpoint(step / steps, f"step {step}")
            time.sleep(step_s)

        def effects() -> None:
            StateChange.objects.create(
                subject_type="effect",
                subject_id=context.job.id,
                from_state="",
                to_state=str(context.job.fence),
                reason=context.worker,
            )

        return effects

    def finish_late(claim: Any, *, effects: Any) -> bool:
        if claim.attempt == 1 and random.random() < zombie_share:
            time.sleep(pause_s)
            wait_for_a_successor(claim, s=random.uniform(0, 3) * pause_s)
        return bool(finish(claim, effects=effects))

    def wait_for_a_successor(claim: Any, *, s: float) -> None:
        """Write while another worker has the job, if one takes it: the worst moment there is."""
        end = time.monotonic() + s
        successor = Job.objects.filter(pk=claim.id, status="running").exclude(fence=claim.fence)
        while time.monotonic() < end and not successor.exists():
            time.sleep(0.05)

    module = ModuleType(task_module_of(JobKind.PRELABEL_IMAGE))
    module.run = note  # type: ignore[attr-defined]
    sys.modules[module.__name__] = module
    run_job.jobs.finish = finish_late
    mutations.apply()
