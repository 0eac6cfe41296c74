"""Faulty builds: the same product with one protection taken out, by SEGLOOP_TEST_MUTATION.

The fault test must catch each of them; only its own entry points load this module.
"""

from __future__ import annotations

import os
from typing import Any

NO_FENCE = "no_fence"
NO_CLIENT_IDS = "no_client_ids"


def apply() -> None:
    """Take out what the environment names; nothing by default."""
    name = os.environ.get("SEGLOOP_TEST_MUTATION", "")
    {"": lambda: None, NO_FENCE: _forget_the_fence, NO_CLIENT_IDS: _make_ids_here}[name]()


def _forget_the_fence() -> None:
    """Let whoever runs a job's code finish it, as if only its state were checked."""
    from engine.models import Job
    from engine.services.jobs import jobs
    from engine.services.transitions import move

    def ours(claim: jobs.ClaimedJob) -> Any:
        return Job.objects.filter(pk=claim.id, status="running")

    def move_without_guard(row: Any, to: Any, **options: Any) -> None:
        options.pop("guard", None)
        move(row, to, **options)

    jobs._ours = ours
    jobs.move = move_without_guard  # type: ignore[attr-defined]


def _make_ids_here() -> None:
    """Let the server name masks and revisions: a repeated save is then a new one."""
    from engine.domain.ids import uuid7
    from engine.services.masks import masks

    save_mask = masks.save_mask

    def save(*args: Any, **options: Any) -> masks.SavedMask:
        options.update(mask_id=uuid7(), revision_id=uuid7(), base_revision_id=None)
        return save_mask(*args, **options)

    masks.save_mask = save
