"""A Celery worker that hears no bell though work waits must notice."""

from __future__ import annotations

from workers.wake import Hearing


def test_an_idle_worker_is_deaf_when_work_has_waited_too_long() -> None:
    hearing = Hearing(heard_at_s=100.0)

    assert not hearing.is_deaf(now_s=159, waits=True, after_s=60)
    assert hearing.is_deaf(now_s=161, waits=True, after_s=60)


def test_a_busy_worker_and_an_empty_queue_are_no_sign_of_deafness() -> None:
    hearing = Hearing(heard_at_s=0.0, is_busy=True)
    assert not hearing.is_deaf(now_s=1_000, waits=True, after_s=60)

    hearing.is_busy = False
    assert not hearing.is_deaf(now_s=1_001, waits=True, after_s=60)  # it has just been busy
    assert not hearing.is_deaf(now_s=2_000, waits=False, after_s=60)
    assert not hearing.is_deaf(now_s=2_030, waits=True, after_s=60)  # work came a moment ago
