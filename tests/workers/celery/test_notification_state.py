"""A Celery worker that receives no notifications though jobs wait must notice."""

from __future__ import annotations

from workers.celery.task import NotificationState


def test_an_idle_worker_is_stale_when_jobs_have_waited_too_long() -> None:
    state = NotificationState(last_notified_at_s=100.0)

    assert not state.is_stale(now_s=159, has_waiting_jobs=True, after_s=60)
    assert state.is_stale(now_s=161, has_waiting_jobs=True, after_s=60)


def test_a_busy_worker_and_an_empty_queue_are_not_stale() -> None:
    state = NotificationState(last_notified_at_s=0.0, is_busy=True)
    assert not state.is_stale(now_s=1_000, has_waiting_jobs=True, after_s=60)

    state.is_busy = False
    assert not state.is_stale(now_s=1_001, has_waiting_jobs=True, after_s=60)  # has just been busy
    assert not state.is_stale(now_s=2_000, has_waiting_jobs=False, after_s=60)
    assert not state.is_stale(now_s=2_030, has_waiting_jobs=True, after_s=60)  # a job came just now
