"""The command line: figures on stdout, files where asked, one line and code 2 on bad input."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from sam.automatic.recommended_settings import recommended_by
from sam.checkpoints import checkpoint_files
from sam.detection import object_detector
from sam.modeling.model import build
from tests.training.blobs import write_blobs
from training.__main__ import main

ROOT = Path(__file__).parents[2]


def test_evaluate_prints_a_table_and_writes_the_figures(
    tmp_path: Path, sam: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = write_blobs(tmp_path / "data", num_train=0, num_holdout=3)
    out = tmp_path / "results" / "figures.json"
    plots = tmp_path / "plots"

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
            "--plots",
            str(plots),
            "--baselines",
            "--automatic",
            "--points-per-side",
            "4",
        ]
    )

    printed = capsys.readouterr().out
    assert code == 0
    assert "clicks_1" in printed
    assert "fill_box" in printed
    assert "mean over sources" in printed
    for name in ("clicks_9", "grabcut_box", "clicks_to_90", "boundary_f_box", "ar_1000"):
        assert name in printed
    assert {path.name for path in plots.iterdir()} == {"clicks.png", "prompts.png"}
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


def test_a_comparison_with_a_checkpoint_is_refused_in_one_line(
    tmp_path: Path, sam: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = write_blobs(tmp_path / "data", num_train=0, num_holdout=1)
    code = main(
        ["evaluate", "--checkpoint", str(sam), "--data", str(manifest), "--compare", str(sam)]
    )
    assert code != 0
    [line] = capsys.readouterr().err.splitlines()
    assert line == f"error: {sam} is no evaluation that --json wrote"


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


@pytest.mark.parametrize("trainable", ["decoder", "lora"])
def test_a_training_carries_on_what_its_start_recommends_for_automatic_masks(
    tmp_path: Path, trainable: str
) -> None:
    advice = {"pred_iou_thresh": 0.3, "adaptive_grid": True, "full_votes": 3}
    start, out = tmp_path / "start.safetensors", tmp_path / "run"
    checkpoint_files.save(build("tiny", seed=0), start, {"automatic": advice})
    manifest = write_blobs(tmp_path / "data", num_train=1)
    command = ["train", "--checkpoint", str(start), "--data", str(manifest), "--out", str(out)]

    assert main([*command, "--steps", "2", "--trainable", trainable]) == 0

    assert recommended_by(out / "model.safetensors") == advice


def test_a_detector_is_trained_on_several_sets_and_measured(
    tmp_path: Path, sam: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = write_blobs(tmp_path / "a", num_train=4)
    second = write_blobs(tmp_path / "b", num_train=4, num_holdout=3)
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
            "--all-sizes",
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
    assert printed["num_images"] == 5  # one of each source's four, and the three held out already
    config = object_detector.load(out / "model.safetensors").config
    assert (config.image_size_px, config.object_side_px) == (128, None)
    *table, last = capsys.readouterr().out.splitlines()
    figures = json.loads(last)
    assert [line.split()[0] for line in table] == ["boxes", "even", "odd", "mean", "all"]
    assert {name: part["num_images"] for name, part in figures["sources"].items()} == {
        "even": 2,
        "odd": 1,
    }
    assert figures["num_images"] == 3
    counts = [part["num_boxes"] for part in figures["sources"].values()]
    assert figures["num_boxes"] == sum(counts) > 0


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
                str(garbage / "out.json"),
            ]
        )
        == 2
    )
    assert last_error(capsys).startswith("error: [Errno 17]")
    assert main(["train", "--checkpoint", str(sam), "--data", str(manifest), *run, "--jitter"]) == 2
    assert last_error(capsys).startswith("error: jitter changes what the encoder sees")
    empty = tmp_path / "empty.jsonl"
    empty.write_text("")
    assert main(["train", "--checkpoint", str(sam), "--data", str(empty), *run]) == 2
    assert last_error(capsys) == f"error: {empty}: the manifest is empty"
    if not torch.cuda.is_available():
        device = ["--device", "cuda"]
        assert (
            main(["train", "--checkpoint", str(sam), "--data", str(manifest), *run, *device]) == 2
        )
        assert last_error(capsys).startswith("error: device cuda cannot be used: ")


def test_a_checkpoint_of_another_shape_is_told_in_one_line(
    tmp_path: Path, sam: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = write_blobs(tmp_path / "data", num_train=1)
    tensors = load_file(sam)
    with safe_open(sam, framework="pt") as file:
        header = file.metadata()
    name = "mask_decoder.iou_token.weight"
    tensors[name] = torch.zeros(1, 17)
    save_file(tensors, tmp_path / "odd.safetensors", header)
    run = ["--data", str(manifest), "--out", str(tmp_path / "run")]

    code = main(["train", "--checkpoint", str(tmp_path / "odd.safetensors"), *run])

    assert code == 2
    told = last_error(capsys)
    assert told == f"error: odd.safetensors: {name} has shape (1, 17), expected (1, 16)"
    assert not (tmp_path / "run").exists()


def test_what_was_left_out_is_told_and_kept_in_a_file(
    tmp_path: Path, sam: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = write_blobs(tmp_path / "data", num_train=3)
    lines = manifest.read_text().splitlines()
    record = json.loads(lines[1])
    Path(record["image"]).unlink()
    odd = json.loads(lines[2])
    odd["masks"][0]["rle"]["size"] = [64, 64]
    manifest.write_text("\n".join([lines[0], lines[1], json.dumps(odd), lines[0]]) + "\n")
    out = tmp_path / "run"
    run = ["--data", str(manifest), "--out", str(out), "--steps", "1"]

    code = main(["train", "--checkpoint", str(sam), *run])

    assert code == 0
    assert "left out 3: " in last_error(capsys)
    problems = (out / "problems.txt").read_text()
    assert "line 2: cannot read the image" in problems
    assert "line 3: mask 1: " in problems
    assert "line 4: image_id 'blob-0' was used before" in problems


def test_a_model_is_grown_and_trained_in_one_command(
    tmp_path: Path, sam: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = write_blobs(tmp_path / "data", num_train=2)
    older = write_blobs(tmp_path / "older", num_train=2)
    out = tmp_path / "run"
    command = ["train", "--checkpoint", str(sam), "--data", str(manifest), "--out", str(out)]
    command += ["--grow-to", "tiny_vit", "--steps", "1", "--mix", str(older)]

    refused = main(command)
    told = last_error(capsys)
    code = main([*command, "--trainable", "all"])

    assert refused == 2
    assert "the encoder of tiny_vit starts from random weights" in told
    assert code == 0
    assert "grown to tiny_vit: encoder: random weights; " in capsys.readouterr().err
    assert checkpoint_files.read_header(out / "model.safetensors").config.arch == "tiny_vit"


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
