"""A sweep repairs what dead workers left, calls back, and survives an absent database."""

from __future__ import annotations

import pytest
from django.db import DatabaseError

from workers.execution import sweeper
from workers.execution.sweeper import Sweeper


def test_a_failed_sweep_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []

    def reap() -> int:
        calls.append("reap")
        if len(calls) == 1:
            raise DatabaseError("away")
        return 0

    monkeypatch.setattr(sweeper.jobs, "reap", reap)
    monkeypatch.setattr(sweeper.assignments, "expire_leases", lambda: calls.append("expire"))
    monkeypatch.setattr(sweeper.schedules, "run_due", lambda: calls.append("schedule"))
    one = Sweeper(every_s=60, schedule_s=60, then=lambda: calls.append("then"))

    for _ in range(3):
        one._sweep()

    assert calls == ["reap", "reap", "expire", "schedule", "then", "reap", "expire", "then"]
