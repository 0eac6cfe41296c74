"""The whole loop by `manage.py replay`: an oracle annotator, real services, real training."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.loop.coco_discs import write_discs
from tests.needs import SHARED_DATA, missing

ROOT = Path(__file__).parents[2]
STARTER = ROOT / "sam" / "starter"


def replay(
    dataset: Path, *options: str, starter: Path, out: Path
) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "SEGLOOP_STARTER_DIR": str(starter), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [
            *(sys.executable, "manage.py", "replay"),
            *("--dataset", str(dataset), "--out", str(out), *options),
        ],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


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
        assert one["is_promoted"] or one["reasons"]
        if one["is_promoted"]:
            serving = one["candidate_version"]
    assert automatic["model_version"] == serving
    assert automatic["automatic_masks"] is not None
    export = report["export"]
    assert export["num_equal"] == export["num_saved"] > 0
    assert export["num_exported"] == export["num_saved"] + automatic["automatic_masks"]


@pytest.mark.slow
@pytest.mark.timeout(1800)  # three minutes of two idle cores; much more on a busy machine
def test_the_loop_turns_through_all_stages_and_exports_what_was_labelled(
    tiny_starter_dir: Path, tmp_path: Path
) -> None:
    dataset = write_discs(tmp_path / "discs", num_images=8)

    done = replay(
        dataset,
        *("--images", "6", "--rounds", "3", "--masks-per-image", "3", "--seed", "1"),
        starter=tiny_starter_dir,
        out=tmp_path / "out",
    )

    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "out" / "replay.json").read_text())
    check_the_loop_turned(report, num_images=6)
    with (tmp_path / "out" / "rounds.csv").open() as file:
        assert [row["stage"] for row in csv.DictReader(file)] == [
            "assisted_manual",
            "semi_automatic",
            "fully_automatic",
        ]
    assert "pixel for pixel" in done.stdout


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
def test_the_shipped_model_turns_the_loop_on_real_photos(tmp_path: Path) -> None:
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
