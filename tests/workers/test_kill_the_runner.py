"""kill -9 of the whole embedded runner in the middle of a job: nothing lost, nothing doubled."""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.workers.platform import Platform, all_over, of_kind
from tests.workers.tiny import recommend_points

pytestmark = pytest.mark.slow


@pytest.fixture
def platform(tmp_path: Path, tiny_starter_dir: Path) -> Iterator[Platform]:
    starter = recommend_points(tmp_path / "starter", starter=tiny_starter_dir, points_per_side=40)
    running = Platform(data_dir=tmp_path / "data", starter_dir=starter)
    running.migrate()
    yield running
    running.stop()


def test_a_training_killed_in_the_middle_ends_as_one_version_measured_once(
    platform: Platform,
) -> None:
    platform.step("seed", "2")
    platform.step("retrain", "sam")
    first = platform.start_runner()
    platform.wait_until(
        lambda state: of_kind(state, "train_sam")[0]["progress_pct"] > 12, what="half trained"
    )

    first.kill()
    platform.start_runner()
    state = platform.wait_until(all_over, what="everything done")

    assert {job["status"] for job in state["jobs"]} == {"succeeded"}
    assert of_kind(state, "train_sam")[0]["attempts"] == 2
    sams = [version for version in state["versions"] if version["family"] == "sam"]
    assert [version["number"] for version in sams] == [1, 2]
    assert sams[1]["status"] in ("serving", "rejected")
    assert Counter(map(tuple, state["evaluations"])).most_common(1)[0][1] == 1
    assert len(state["evaluations"]) == 2  # the candidate and the serving one, one snapshot


def test_automatic_masks_of_a_killed_run_are_written_once(platform: Platform) -> None:
    platform.step("seed", "2")
    platform.step("advance", "test")
    runner = platform.start_runner()
    platform.wait_until(all_over, what="the second stage is ready")
    platform.step("advance", "test")
    platform.wait_until(
        lambda state: any(
            job["status"] == "running" and job["progress_pct"] > 0
            for job in of_kind(state, "automask_image")
        ),
        what="masks are being made",
    )

    runner.kill()
    platform.start_runner()
    state = platform.wait_until(all_over, what="everything done")

    automasks = of_kind(state, "automask_image")
    made = [mask for mask in state["masks"] if mask[1] == "automatic"]
    assert [job["status"] for job in automasks] == ["succeeded", "succeeded"]
    assert max(job["attempts"] for job in automasks) == 2
    assert len(made) == sum(job["result"]["num_masks"] for job in automasks) > 0
    assert len({(image, sha256) for image, _, _, sha256 in made}) == len(made)


def test_a_runner_asked_to_stop_gives_its_job_back_at_once(platform: Platform) -> None:
    platform.step("seed", "2")
    platform.step("retrain", "sam")
    runner = platform.start_runner()
    platform.wait_until(
        lambda state: of_kind(state, "train_sam")[0]["progress_pct"] > 0, what="training"
    )

    status = runner.terminate()

    training = of_kind(platform.step("state"), "train_sam")[0]
    assert status == 0
    assert training["status"] == "queued"
    assert training["attempts"] == 0
    assert any("train_sam" in line and "given back" in line for line in runner.lines)


def test_an_embedding_never_waits_for_a_training_and_a_killed_lane_comes_back(
    platform: Platform,
) -> None:
    platform.step("seed", "2")
    platform.step("retrain", "sam")
    runner = platform.start_runner()
    state = platform.wait_until(
        lambda state: of_kind(state, "train_sam")[0]["progress_pct"] > 0, what="training"
    )

    for number in range(2):
        platform.step("ingest", str(100 + number))
        state = platform.wait_until(
            lambda state, wanted=3 + number: (
                [job["status"] for job in of_kind(state, "embed_image")] == wanted * ["succeeded"]
            ),
            what="the new photo has its embedding",
        )
        assert of_kind(state, "train_sam")[0]["status"] == "running"
        if number == 0:
            quick = state["attempts"][-1]["worker"]
            os.kill(int(quick.rsplit(":", 1)[1]), signal.SIGKILL)

    assert quick.startswith("cpu@")
    assert any("cpu lane ended with status -9" in line for line in runner.lines)


def test_lanes_end_by_themselves_when_their_parent_is_killed(platform: Platform) -> None:
    platform.step("seed", "2")
    platform.step("retrain", "sam")
    runner = platform.start_runner()
    platform.wait_until(
        lambda state: of_kind(state, "train_sam")[0]["progress_pct"] > 0, what="training"
    )

    runner.process.kill()  # the parent alone

    state = platform.wait_until(
        lambda state: of_kind(state, "train_sam")[0]["status"] == "queued",
        what="the training is given back",
        timeout_s=30,
    )
    assert of_kind(state, "train_sam")[0]["attempts"] == 0
