"""kill -9 of the embedded runner in the middle of a job: nothing lost, nothing doubled."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.workers.platform import Platform, all_over, of_kind
from tests.workers.tiny_models import recommend_points

pytestmark = pytest.mark.slow


@pytest.fixture
def platform(tmp_path: Path, tiny_starter_dir: Path) -> Iterator[Platform]:
    running = Platform(data_dir=tmp_path / "data", starter_dir=tiny_starter_dir)
    running.migrate()
    yield running
    running.stop()


def is_under_way(state: dict[str, Any], kind: str) -> bool:
    return any(
        job["status"] == "running" and job["progress_pct"] > 0 for job in of_kind(state, kind)
    )


def test_a_training_stopped_once_and_killed_once_ends_as_one_version_measured_once(
    platform: Platform,
) -> None:
    platform.step("seed", "3", "6")
    platform.step("retrain", "sam")
    first = platform.start_runner()
    platform.wait_until(lambda state: is_under_way(state, "train_sam"), what="training")

    status = first.terminate()

    (training,) = of_kind(platform.step("state"), "train_sam")
    assert status == 0
    assert (training["status"], training["attempts"]) == ("queued", 0)
    assert any("train_sam" in line and "released" in line for line in first.lines)

    second = platform.start_runner()
    platform.wait_until(lambda state: is_under_way(state, "train_sam"), what="training again")
    second.kill()
    platform.start_runner()
    state = platform.wait_until(all_over, what="everything done")

    assert {job["status"] for job in state["jobs"]} == {"succeeded"}
    assert of_kind(state, "train_sam")[0]["attempts"] == 2  # the killed one and the last
    sams = [version for version in state["versions"] if version["family"] == "sam"]
    assert [version["number"] for version in sams] == [1, 2]
    assert sams[1]["status"] in ("serving", "rejected")
    # The candidate and the serving one, once each, on one snapshot.
    assert len(state["evaluations"]) == len({tuple(one) for one in state["evaluations"]}) == 2


def test_automatic_masks_of_a_killed_run_are_written_once(
    platform: Platform, tmp_path: Path
) -> None:
    # Seconds of work even on a fast machine: progress is shown every two.
    platform.starter_dir = recommend_points(
        tmp_path / "starter", starter=platform.starter_dir, points_per_side=100
    )
    platform.step("seed", "2")
    platform.step("advance", "test")
    platform.step("advance", "test")
    runner = platform.start_runner()
    platform.wait_until(lambda state: is_under_way(state, "automask_image"), what="masks made")

    runner.kill()
    platform.start_runner()
    state = platform.wait_until(all_over, what="everything done")

    automasks = [job for job in of_kind(state, "automask_image") if job["status"] != "cancelled"]
    made = [mask for mask in state["masks"] if mask[1] == "automatic"]
    assert [job["status"] for job in automasks] == ["succeeded", "succeeded"]
    assert max(job["attempts"] for job in automasks) == 2
    assert len(made) == sum(job["result"]["num_masks"] for job in automasks) > 0
    assert len({(image, sha256) for image, _, _, sha256 in made}) == len(made)


def test_a_long_job_holds_up_no_embedding_and_lanes_outlive_a_kill_but_not_their_parent(
    platform: Platform, tmp_path: Path
) -> None:
    platform.starter_dir = recommend_points(
        tmp_path / "starter", starter=platform.starter_dir, points_per_side=300
    )
    platform.step("seed", "1")
    platform.step("advance", "test")
    platform.step("advance", "test")
    runner = platform.start_runner()
    platform.wait_until(lambda state: is_under_way(state, "automask_image"), what="masks made")

    platform.step("ingest", "100")
    state = platform.wait_until(
        lambda state: (
            [job["status"] for job in of_kind(state, "embed_image")] == ["succeeded", "succeeded"]
        ),
        what="the new image has its embedding",
    )
    assert is_under_way(state, "automask_image")

    embedded_by = next(
        attempt["worker"] for attempt in state["attempts"] if attempt["job__kind"] == "embed_image"
    )
    assert embedded_by.startswith("cpu@")
    os.kill(int(embedded_by.rsplit(":", 1)[1]), signal.SIGKILL)
    platform.step("ingest", "101")
    platform.wait_until(
        lambda state: [job["status"] for job in of_kind(state, "embed_image")] == 3 * ["succeeded"],
        what="the lane was started again",
    )
    assert any("cpu lane ended with status -9" in line for line in runner.lines)

    runner.process.kill()  # the parent alone
    platform.wait_until(
        lambda state: not any(job["status"] == "running" for job in state["jobs"]),
        what="the running job is released",
        timeout_s=30,
    )
    assert {job["attempts"] for job in of_kind({"jobs": platform.jobs()}, "automask_image")} == {0}


def test_a_runner_starts_a_due_training_by_itself_and_only_one(platform: Platform) -> None:
    platform.step("seed", "3", "7")

    platform.start_runner()
    platform.wait_until(lambda state: of_kind(state, "train_sam"), what="a scheduled training")
    state = platform.wait_until(
        lambda state: of_kind(state, "evaluate_sam") and all_over(state), what="a measured version"
    )

    assert len(of_kind(state, "train_sam")) == 1
    assert {job["status"] for job in state["jobs"]} == {"succeeded"}
    sams = [version for version in state["versions"] if version["family"] == "sam"]
    assert [version["number"] for version in sams] == [1, 2]
