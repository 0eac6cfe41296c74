"""Child processes of the race tests: real claims on the real database, killed when told to.

Run as `python -m tests.engine.racing <what>` with the test's database in RACE_DATABASE (JSON).
"""

from __future__ import annotations

import json
import os
import signal
import sys
from typing import Any


def open_database() -> None:
    """Set Django up on the database of the test that started us."""
    import django
    from django.conf import settings

    settings.DATABASES["default"] = json.loads(os.environ["RACE_DATABASE"])
    django.setup()


def work(worker: str) -> None:
    """Claim and finish jobs until none is left; each effect is one row naming the job."""
    from engine.domain.jobs import QUEUES
    from engine.services.jobs import jobs

    while (claim := jobs.claim(QUEUES, worker=worker, lease_s=60)) is not None:
        jobs.finish(claim, effects=lambda claim=claim: note_effect(claim))  # type: ignore[misc]


def note_effect(claim: Any) -> None:
    from engine.models import StateChange

    StateChange.objects.create(
        subject_type="effect",
        subject_id=claim.id,
        from_state="",
        to_state="",
        reason=claim.worker,
    )


def claim_and_die(worker: str) -> None:
    """Claim one job, then die as by the kernel's out-of-memory killer."""
    from engine.domain.jobs import QUEUES
    from engine.services.jobs import jobs

    assert jobs.claim(QUEUES, worker=worker, lease_s=0.5) is not None
    os.kill(os.getpid(), signal.SIGKILL)


def die_while_finishing(worker: str) -> None:
    """Claim one job and die inside its effects, after a row was written."""
    from engine.domain.jobs import QUEUES
    from engine.services.jobs import jobs

    claim = jobs.claim(QUEUES, worker=worker, lease_s=0.5)
    assert claim is not None

    def effects() -> None:
        note_effect(claim)
        os.kill(os.getpid(), signal.SIGKILL)

    jobs.finish(claim, effects=effects)


if __name__ == "__main__":
    open_database()
    {"work": work, "claim_and_die": claim_and_die, "die_while_finishing": die_while_finishing}[
        sys.argv[1]
    ](f"{sys.argv[1]}-{os.getpid()}")
