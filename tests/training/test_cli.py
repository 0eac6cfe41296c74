"""The command line: figures on stdout, files where asked, one line and code 2 on bad input."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from sam import checkpoints, object_detector
from sam.model import build
from tests.training.blobs import write_blobs
from training.__main__ import main

ROOT = Path(__file__).parents[2]


@pytest.fixture
def sam(tmp_path: Path) -> Path:
    path = tmp_path / "sam.safetensors"
    checkpoints.save(build("tiny", seed=0), path)
    return path


def test_evaluate_prints_a_table_and_writes_the_figures(
    tmp_path: Path, sam: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = write_blobs(tmp_path / "data", num_train=0, num_holdout=3)
    out = tmp_path / "figures.json"

    code = main(
        [
            "evaluate",
            "--checkpoint",
            str(sam),
            "--data",
            str(manifest),
            "--max-masks-per-image",
            "2",
            "--max-images",
            "2",
            "--json",
            str(out),
        ]
    )

    printed = capsys.readouterr().out
    assert code == 0
    assert "clicks_1" in printed
    assert "fill_box" in printed
    assert "mean over sources" in printed
    figures = json.loads(out.read_text())
    assert (figures["num_images"], figures["num_masks"]) == (2, 4)
    assert len(figures["masks"]) == 4


def test_evaluate_compares_with_an_earlier_evaluation(
    tmp_path: Path, sam: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = write_blobs(tmp_path / "data", num_train=0, num_holdout=1)
    earlier = tmp_path / "earlier.json"
    common = ["evaluate", "--checkpoint", str(sam), "--data", str(manifest)]
    main([*common, "--json", str(earlier)])

    code = main([*common, "--compare", str(earlier)])

    assert code == 0
    assert "clicks_1   +0.000  [+0.000, +0.000]" in capsys.readouterr().out


def test_training_from_the_command_line_leaves_a_model_and_its_decoder(
    tmp_path: Path, sam: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = write_blobs(tmp_path / "data", num_train=3)
    out = tmp_path / "run"

    code = main(
        [
            "train",
            "--checkpoint",
            str(sam),
            "--data",
            str(manifest),
            "--out",
            str(out),
            "--steps",
            "2",
            "--max-images",
            "2",
        ]
    )

    assert code == 0
    assert (out / "model.safetensors").exists()
    assert (out / "decoder.onnx").exists()
    assert '"num_images": 2' in capsys.readouterr().out


def test_a_detector_is_trained_on_several_sets_and_measured(
    tmp_path: Path, sam: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = write_blobs(tmp_path / "a", num_train=4)
    second = write_blobs(tmp_path / "b", num_train=4, num_holdout=1)
    out = tmp_path / "run"

    code = main(
        [
            "train-detector",
            "--sam",
            str(sam),
            "--data",
            str(first),
            str(second),
            "--out",
            str(out),
            "--steps",
            "2",
            "--holdout-every",
            "4",
        ]
    )
    printed = json.loads(capsys.readouterr().out.splitlines()[-1])
    measured = main(
        [
            "evaluate-detector",
            "--sam",
            str(sam),
            "--data",
            str(second),
            "--detector",
            str(out / "model.safetensors"),
        ]
    )

    assert code == measured == 0
    assert printed["num_images"] == 3  # one of each source's four, and the one held out already
    assert object_detector.load(out / "model.safetensors").config.image_size_px == 128
    assert json.loads(capsys.readouterr().out)["num_images"] == 1


def last_error(capsys: pytest.CaptureFixture[str]) -> str:
    told = capsys.readouterr().err.strip().splitlines()
    assert "Traceback" not in "".join(told)
    return told[-1]


def test_bad_input_is_told_in_one_line(
    tmp_path: Path, sam: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = write_blobs(tmp_path / "data", num_train=1, num_holdout=1)
    garbage = tmp_path / "garbage.safetensors"
    garbage.write_bytes(b"\x00" * 100)
    run = ["--out", str(tmp_path / "run")]

    assert main(["evaluate", "--checkpoint", str(sam), "--data", str(tmp_path / "no")]) == 2
    assert last_error(capsys).startswith("error: cannot read the manifest")
    assert main(["evaluate", "--checkpoint", str(garbage), "--data", str(manifest)]) == 2
    assert last_error(capsys).startswith("error: garbage.safetensors is not")
    assert main(["train", "--checkpoint", str(garbage), "--data", str(manifest), *run]) == 2
    assert last_error(capsys).startswith("error: garbage.safetensors is not")
    assert (
        main(
            [
                "evaluate",
                "--checkpoint",
                str(sam),
                "--data",
                str(manifest),
                "--json",
                str(tmp_path / "nowhere" / "out.json"),
            ]
        )
        == 2
    )
    assert last_error(capsys).startswith("error: [Errno 2]")


def test_a_foreign_detector_is_refused_by_name(
    tmp_path: Path, sam: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = write_blobs(tmp_path / "data", num_train=0, num_holdout=1)
    detector = tmp_path / "detector.safetensors"
    shape = object_detector.config_for(build("tiny", seed=5))
    object_detector.save(object_detector.ObjectDetector(shape), detector)

    code = main(
        [
            "evaluate-detector",
            "--sam",
            str(sam),
            "--data",
            str(manifest),
            "--detector",
            str(detector),
        ]
    )

    assert code == 2
    assert "reads another encoder" in last_error(capsys)


def test_the_module_runs_as_a_command(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "training", "evaluate", "--checkpoint", "no.pth", "--data", "no"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )

    assert done.returncode == 2
    assert done.stderr.strip().splitlines() == ["error: there is no checkpoint at no.pth"]


def test_wrong_options_end_with_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["evaluate", "--checkpoint", "a", "--data", "b", "--max-images", "0"])

    assert caught.value.code == 2
    assert "0 is not at least 1" in last_error(capsys)
