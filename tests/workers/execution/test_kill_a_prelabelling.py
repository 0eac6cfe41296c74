"""kill -9 while a detector is trained and while it prefills: nothing lost, nothing doubled."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.workers.platform import Platform, Worker, all_over, of_kind

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]  # minutes on a busy machine
WAIT_S = 600
NUM_FRESH = 8


@pytest.fixture
def embedded(tmp_path: Path, tiny_starter_dir: Path) -> Iterator[Platform]:
    running = Platform(data_dir=tmp_path / "data", starter_dir=tiny_starter_dir)
    running.migrate()
    yield running
    running.stop()


def start_workers(platform: Platform) -> list[Worker]:
    if platform.redis_url:
        return [platform.start_celery("cpu"), platform.start_celery("gpu")]
    return [platform.start_runner()]


def kill_and_start_again(platform: Platform, workers: list[Worker]) -> list[Worker]:
    for worker in workers:
        worker.kill()
    return start_workers(platform)


def trains_a_detector(state: dict[str, Any]) -> bool:
    return any(
        job["status"] == "running" and job["progress_pct"] > 0
        for job in of_kind(state, "train_detector")
    )


def is_between_two_images(state: dict[str, Any]) -> bool:
    statuses = [job["status"] for job in of_kind(state, "prelabel_image")]
    return "succeeded" in statuses and bool({"queued", "running"} & set(statuses))


def is_prefilled(state: dict[str, Any]) -> bool:
    """Jobs that still waited when another detector took over are cancelled and asked for anew."""
    statuses = {job["status"] for job in of_kind(state, "prelabel_image")}
    return statuses <= {"succeeded", "cancelled"}


def check_prefilled_masks(state: dict[str, Any]) -> None:
    """Each image is prefilled, each mask is there once, as many as its job reported."""
    done = [job for job in of_kind(state, "prelabel_image") if job["status"] == "succeeded"]
    assert len(done) >= NUM_FRESH
    masks = [mask for mask in state["masks"] if mask[1] == "prefilled"]
    # A job that waited while another detector took over uses that one, as the job asked for then
    # does: both report the same masks.
    num_by_run = {
        (job["args"]["image"], job["result"]["model_version"], job["result"]["detector"]): (
            job["result"]["num_masks"]
        )
        for job in done
    }
    assert len(masks) == sum(num_by_run.values()) > 0
    waiting = [(image, sha256) for image, _, status, sha256 in masks if status == "proposed"]
    assert len(set(waiting)) == len(waiting)


def survive_kills(platform: Platform) -> None:
    platform.step("seed", "3", "6")
    platform.step("ingest", "100", str(NUM_FRESH))
    platform.step("advance", "test")
    workers = start_workers(platform)

    platform.wait_until(is_between_two_images, what="some images are prefilled", timeout_s=WAIT_S)
    workers = kill_and_start_again(platform, workers)
    platform.wait_until(is_prefilled, what="all are prefilled", timeout_s=WAIT_S)
    for worker in workers:
        # So that nothing moves while it is checked. Asked, not killed: a third kill of the same
        # training would rightly end it as dead.
        worker.terminate()
    check_prefilled_masks(platform.step("state"))
    workers = start_workers(platform)
    platform.wait_until(
        lambda state: trains_a_detector(state) or all_over(state),
        what="a detector is trained",
        timeout_s=WAIT_S,
    )
    kill_and_start_again(platform, workers)
    state = platform.wait_until(all_over, what="everything done", timeout_s=WAIT_S)

    assert {job["status"] for job in state["jobs"]} <= {"succeeded", "cancelled"}
    check_prefilled_masks(state)
    (training,) = of_kind(state, "train_detector")
    assert training["status"] == "succeeded"
    detectors = [one for one in state["versions"] if one["family"] == "object_detector"]
    assert [one["number"] for one in detectors] == [1, 2]


def test_on_sqlite_with_the_embedded_runner(embedded: Platform) -> None:
    survive_kills(embedded)


@pytest.mark.postgres
def test_on_postgresql_and_redis_with_celery_workers(deployed: Platform) -> None:
    survive_kills(deployed)
