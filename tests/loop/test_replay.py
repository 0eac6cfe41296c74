"""The whole loop by `manage.py replay`: an oracle annotator, real services, real training."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.loop.coco_discs import write_discs
from tests.needs import SHARED_DATA, missing

ROOT = Path(__file__).parents[2]
STARTER = ROOT / "sam" / "starter"


def replay(dataset: Path, *options: str, starter: Path, out: Path, start: bool = False) -> Any:
    """Run the command to its end, or start it in a process group of its own."""
    environment = {**os.environ, "SEGLOOP_STARTER_DIR": str(starter), "OMP_NUM_THREADS": "1"}
    command = [
        *(sys.executable, "manage.py", "replay"),
        *("--dataset", str(dataset), "--out", str(out), *options),
    ]
    if start:
        return subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    return subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )


def kill_when(
    process: subprocess.Popen[bytes],
    keep: Path,
    is_time: Callable[[list[str]], bool],
    *,
    and_wait_s: float = 0.0,
) -> None:
    """Kill -9 a replay and its child as soon as its journal says so."""
    journal = keep / "replay.jsonl"
    while True:
        lines = journal.read_text().splitlines() if journal.exists() else []
        if is_time([json.loads(line)["kind"] for line in lines if line.endswith("}")]):
            break
        assert process.poll() is None, "it ended before its time"
        time.sleep(0.05)
    time.sleep(and_wait_s)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def check_the_loop_turned(report: dict[str, Any], *, num_images: int) -> None:
    """Assert what holds for every replay, whatever the model is worth."""
    rounds = report["rounds"]
    labelled, automatic = rounds[:-1], rounds[-1]
    assert [one["round"] for one in rounds] == list(range(1, len(rounds) + 1))
    assert {one["stage"] for one in rounds} == {
        "assisted_manual",
        "semi_automatic",
        "fully_automatic",
    }
    assert sum(one["images"] for one in rounds) == num_images
    serving = 1
    for one in labelled:
        assert one["model_version"] == serving
        assert one["masks_drawn"] + one["masks_accepted"] > 0
        assert 1 <= (one["clicks_per_mask"] or 1) <= 9
        assert 1 <= (one["first_clicks_per_mask"] or 1) <= 9
        if one["model_version"] == 1:
            assert one["first_clicks_per_mask"] == one["clicks_per_mask"]
        assert one["is_promoted"] or one["reasons"]
        if one["is_promoted"]:
            serving = one["candidate_version"]
    assert automatic["model_version"] == serving
    assert automatic["automatic_masks"] is not None
    assert {one["name"] for one in report["findings"]} == {
        "clicks_fall",
        "clicks_fall_on_the_same_masks",
        "heldout_rises",
        "effort_fall",
        "automatic_agreement",
    }
    for one in rounds:  # the figures by source add up
        for name in ("images", "masks_drawn", "masks_accepted"):
            assert sum(part[name] for part in one["sources"].values()) == one[name]
    export = report["export"]
    assert export["num_equal"] == export["num_saved"] > 0
    assert export["num_exported"] == export["num_saved"] + automatic["automatic_masks"]


@pytest.mark.slow
@pytest.mark.timeout(1800)  # three minutes of two idle cores; much more on a busy machine
def test_the_loop_survives_kills_turns_through_all_stages_and_exports_what_was_labelled(
    tiny_starter_dir: Path, tmp_path: Path
) -> None:
    dataset = write_discs(tmp_path / "discs", num_images=8)
    heldout = write_discs(tmp_path / "heldout", num_images=2, first=100)
    keep = tmp_path / "kept"
    options = (
        *("--images", "6", "--rounds", "3", "--masks-per-image", "3", "--seed", "1"),
        *("--heldout", str(heldout), "--keep", str(keep)),
    )
    command = partial(replay, dataset, *options, starter=tiny_starter_dir, out=tmp_path / "out")

    kill_when(command(start=True), keep, lambda notes: notes.count("image") == 1)
    kill_when(command(start=True), keep, lambda notes: "retrain sam" in notes, and_wait_s=2)
    done = command()

    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "out" / "replay.json").read_text())
    check_the_loop_turned(report, num_images=6)
    assert set(report["heldout"]) >= {"1"}
    with (tmp_path / "out" / "rounds.csv").open() as file:
        assert [row["stage"] for row in csv.DictReader(file)] == [
            "assisted_manual",
            "semi_automatic",
            "fully_automatic",
        ]
    assert "pixel for pixel" in done.stdout
    assert (tmp_path / "out" / "cost.png").read_bytes().startswith(b"\x89PNG")

    again = command()  # nothing is left to do: the same figures, without any work
    assert again.returncode == 0, again.stderr
    assert json.loads((tmp_path / "out" / "replay.json").read_text()) == report
    other = replay(
        dataset, *options, "--rounds", "4", starter=tiny_starter_dir, out=tmp_path / "out"
    )
    assert other.returncode == 1
    assert "another num_rounds" in other.stderr


def test_a_folder_that_holds_something_else_is_left_alone(
    tiny_starter_dir: Path, tmp_path: Path
) -> None:
    (tmp_path / "precious.txt").write_text("mine")

    done = replay(tmp_path, "--keep", str(tmp_path), starter=tiny_starter_dir, out=tmp_path / "out")

    assert done.returncode == 1
    assert "is not empty and holds no replay" in done.stderr


def test_a_dataset_that_is_not_there_ends_in_one_line(
    tiny_starter_dir: Path, tmp_path: Path
) -> None:
    done = replay(tmp_path / "nothing", starter=tiny_starter_dir, out=tmp_path / "out")

    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "instances.json" in done.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
@pytest.mark.timeout(1800)  # three minutes of two idle cores; much more on a busy machine
def test_the_shipped_model_turns_the_loop_on_real_images(tmp_path: Path) -> None:
    for what in (STARTER / "starter.safetensors", SHARED_DATA / "nuclei-extra" / "instances.json"):
        if not what.exists():
            missing(f"{what} is missing")

    done = replay(
        SHARED_DATA / "nuclei-extra",
        *("--images", "5", "--rounds", "3", "--masks-per-image", "4", "--seed", "3"),
        starter=STARTER,
        out=tmp_path / "out",
    )

    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "out" / "replay.json").read_text())
    check_the_loop_turned(report, num_images=5)
