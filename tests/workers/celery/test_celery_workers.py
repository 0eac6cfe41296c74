"""The same jobs through PostgreSQL, Redis and two Celery workers, one of them killed."""

from __future__ import annotations

import os
import signal

import pytest
import redis

from tests.workers.platform import Platform, all_over, of_kind

pytestmark = [pytest.mark.postgres, pytest.mark.slow]


@pytest.fixture
def platform(deployed: Platform) -> Platform:
    return deployed


def test_two_workers_turn_the_loop_and_survive_a_kill_and_a_wiped_redis(
    platform: Platform,
) -> None:
    platform.start_celery("cpu")
    heavy = platform.start_celery("gpu")
    platform.step("seed", "3", "6")
    platform.step("retrain", "sam")
    platform.wait_until(
        lambda state: of_kind(state, "train_sam")[0]["progress_pct"] > 0, what="training"
    )

    heavy.kill()
    redis.Redis.from_url(platform.redis_url).flushall()
    platform.start_celery("gpu")
    state = platform.wait_until(all_over, what="everything done")

    assert {job["status"] for job in state["jobs"]} == {"succeeded"}
    assert of_kind(state, "train_sam")[0]["attempts"] == 2
    assert len([version for version in state["versions"] if version["family"] == "sam"]) == 2
    assert len(state["evaluations"]) == len({tuple(one) for one in state["evaluations"]}) == 2
    lanes = {attempt["job__kind"]: attempt["worker"] for attempt in state["attempts"]}
    assert lanes["embed_image"].startswith("celery-cpu@")
    assert lanes["evaluate_sam"].startswith("celery-gpu@")


def test_lost_notifications_wait_for_the_next_sweep_and_a_killed_worker_is_started_again(
    platform: Platform,
) -> None:
    """Notifications sent while no worker listens are lost; the sweeper sends them again."""
    platform.step("seed", "1")
    redis.Redis.from_url(platform.redis_url).flushall()

    runner = platform.start("manage.py", "runner", "--celery", "--queues", "cpu")
    state = platform.wait_until(all_over, what="the embedding is made")
    assert of_kind(state, "embed_image")[0]["status"] == "succeeded"

    worker = state["attempts"][-1]["worker"]
    os.kill(int(worker.rsplit(":", 1)[1]), signal.SIGKILL)
    platform.step("ingest", "100")
    state = platform.wait_until(all_over, what="a new worker took over")
    assert [job["status"] for job in of_kind(state, "embed_image")] == ["succeeded"] * 2
    assert any("cpu lane ended with status -9" in line for line in runner.lines)
    assert runner.terminate() == 0


def test_celery_workers_start_a_due_training_by_themselves_and_only_one(
    platform: Platform,
) -> None:
    """Four sweepers check what is due; one starts it, a worker of the gpu queue runs it."""
    platform.step("seed", "3", "7")

    for queue in ("cpu", "cpu", "gpu", "gpu"):
        platform.start_celery(queue)
    state = platform.wait_until(
        lambda state: of_kind(state, "evaluate_sam") and all_over(state), what="a measured version"
    )

    assert len(of_kind(state, "train_sam")) == 1
    lanes = {attempt["job__kind"]: attempt["worker"] for attempt in state["attempts"]}
    assert lanes["train_sam"].startswith("celery-gpu@")
