from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from masks.rle import Rle
from sam.__main__ import main
from sam.checkpoints.checkpoint_files import save
from sam.modeling.model import build
from tests.sam.model_files import TINY_OFFICIAL

LOOSE = ["--points-per-side", "4", "--pred-iou-thresh", "-9", "--stability-thresh", "0"]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("model") / "tiny.safetensors"
    save(build("tiny", seed=1), path)
    return str(path)


@pytest.fixture
def image_path(tmp_path: Path, image_rgb: np.ndarray) -> str:
    path = tmp_path / "image.png"
    Image.fromarray(image_rgb).save(path)
    return str(path)


@pytest.fixture
def folder(tmp_path: Path, image_rgb: np.ndarray) -> Path:
    """Three images, one of them broken, one in a folder below, and what is no image_rgb."""
    folder = tmp_path / "images"
    (folder / "below").mkdir(parents=True)
    Image.fromarray(image_rgb).save(folder / "sa_12.jpg")
    Image.fromarray(image_rgb[::-1]).save(folder / "below" / "flipped.PNG")
    (folder / "broken.jpg").write_bytes(b"this is no image")
    (folder / "notes.txt").write_text("three images")
    (folder / ".hidden.png").write_text("")
    return folder


def generate(checkpoint: str, source: Path | str, output: Path, *more: str) -> int:
    arguments = ["--checkpoint", checkpoint, "--input", str(source), "--output", str(output)]
    return main(["generate", *arguments, *LOOSE, *more])


def files_in(folder: Path) -> dict[str, bytes]:
    paths = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(paths)}


def test_a_folder_is_segmented_in_sa1b_s_layout_and_a_broken_image_stops_nothing(
    checkpoint: str, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status = generate(checkpoint, folder, tmp_path / "out")

    captured = capsys.readouterr()
    assert status == 1
    assert captured.err.splitlines()[-1] == (
        f"error: {folder / 'broken.jpg'} is not a JPEG, PNG, WebP, TIFF, BMP or GIF image"
    )
    made = files_in(tmp_path / "out")
    assert list(made) == ["below/flipped.json", "sa_12.json", "segloop-generate.settings"]
    contents = [json.loads(made[name]) for name in ("sa_12.json", "below/flipped.json")]
    assert contents[0]["image"] == {
        "image_id": 12,
        "file_name": "sa_12.jpg",
        "width": 130,
        "height": 90,
    }
    assert contents[1]["image"]["file_name"] == "below/flipped.PNG"
    assert 0 < contents[1]["image"]["image_id"] < 2**53
    for content in contents:
        assert set(content) == {"image", "annotations"}
        assert len(content["annotations"]) > 0
        for annotation in content["annotations"]:
            rle = Rle.from_coco(annotation["segmentation"], image_hw=(90, 130))
            assert rle.area_px == annotation["area"]
            assert list(rle.bbox_xywh_px) == annotation["bbox"]
            assert set(annotation) == {
                *("id", "segmentation", "bbox", "area", "predicted_iou"),
                *("stability_score", "crop_box", "point_coords"),
            }
    num_masks = sum(len(content["annotations"]) for content in contents)
    assert f"{num_masks} masks of 2 images in " in captured.out


def test_a_second_run_makes_only_what_is_missing(
    checkpoint: str, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "broken.jpg").unlink()
    out = tmp_path / "out"
    assert generate(checkpoint, folder, out) == 0
    first = files_in(out)
    (out / "sa_12.json").write_bytes(first["sa_12.json"][:-40])  # not whole
    kept_ns = (out / "below" / "flipped.json").stat().st_mtime_ns

    assert generate(checkpoint, folder, out) == 0

    assert files_in(out) == first
    assert (out / "below" / "flipped.json").stat().st_mtime_ns == kept_ns
    assert "of 1 images" in capsys.readouterr().out.splitlines()[-1]
    newer_ns = kept_ns + 10**9
    os.utime(folder / "below" / "flipped.PNG", ns=(newer_ns, newer_ns))
    assert generate(checkpoint, folder, out, "--points-per-batch", "3") == 0
    assert "of 1 images in " in (last := capsys.readouterr().out.splitlines()[-1])
    assert last.endswith("1 done before")


def test_other_settings_or_weights_are_refused_until_a_redo_is_asked_for(
    checkpoint: str, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "broken.jpg").unlink()
    out = tmp_path / "out"
    save(build("tiny", seed=2), tmp_path / "other.safetensors")
    assert generate(checkpoint, folder, out) == 0
    first = files_in(out)

    assert generate(checkpoint, folder, out, "--nms-iou-thresh", "0.4") == 1
    assert "made with another nms_iou_thresh; choose" in capsys.readouterr().err
    assert generate(str(tmp_path / "other.safetensors"), folder, out) == 1
    assert "made with another checkpoint_sha256; choose" in capsys.readouterr().err
    assert files_in(out) == first

    assert generate(str(tmp_path / "other.safetensors"), folder, out, "--redo") == 0
    again = files_in(out)
    assert list(again) == list(first)
    assert not any(again[name] == first[name] for name in first)
    assert generate(str(tmp_path / "other.safetensors"), folder, out) == 0
    assert "0 masks of 0 images" in capsys.readouterr().out.splitlines()[-1]


def test_one_image_and_images_with_one_stem_each_have_a_file_of_their_own(
    checkpoint: str, image_path: str, tmp_path: Path
) -> None:
    assert generate(checkpoint, image_path, tmp_path / "one") == 0
    assert list(files_in(tmp_path / "one")) == ["image.json", "segloop-generate.settings"]

    (tmp_path / "twins").mkdir()
    shutil.copy(image_path, tmp_path / "twins" / "a.png")
    Image.open(image_path).convert("L").save(tmp_path / "twins" / "a.jpg")
    assert generate(checkpoint, tmp_path / "twins", tmp_path / "two") == 0
    assert list(files_in(tmp_path / "two"))[:2] == ["a.jpg.json", "a.png.json"]


def test_an_overlay_shows_the_masks_and_is_never_taken_for_an_image(
    checkpoint: str, image_path: str, image_rgb: np.ndarray, tmp_path: Path
) -> None:
    here = tmp_path / "here"
    here.mkdir()
    shutil.copy(image_path, here / "image.png")

    assert generate(checkpoint, here, here) == 0
    assert generate(checkpoint, here, here, "--overlay") == 0

    assert [name for name in files_in(here) if not name.startswith("seg")] == [
        "image.json",
        "image.overlay.jpg",
        "image.png",
    ]
    with Image.open(here / "image.overlay.jpg") as overlay:
        shown = np.array(overlay)
    content = json.loads((here / "image.json").read_text())
    covered = np.zeros((90, 130), dtype=bool)
    for annotation in content["annotations"]:
        covered |= Rle.from_coco(annotation["segmentation"]).decode()
    difference = np.abs(shown.astype(int) - image_rgb).mean(-1)
    assert difference[covered].mean() > 20
    assert covered.all() or difference[~covered].mean() < difference[covered].mean() / 3


def test_recommended_settings_are_used_and_named_unless_given_by_hand(
    image_path: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    advice = {"pred_iou_thresh": -9.0, "stability_thresh": 0.0, "unknown": 1}
    save(build("tiny", seed=1), tmp_path / "m.safetensors", {"automatic": advice})
    arguments = ["generate", "--checkpoint", str(tmp_path / "m.safetensors"), "--input", image_path]
    fewer = ["--points-per-side", "2", "--stability-thresh", "0.1"]

    assert main([*arguments, "--output", str(tmp_path / "out"), *fewer]) == 0

    out = capsys.readouterr().out
    assert "settings: released, with what the checkpoint recommends: pred_iou_thresh -9.0\n" in out
    record = json.loads((tmp_path / "out" / "segloop-generate.settings").read_text())
    assert (record["pred_iou_thresh"], record["stability_thresh"]) == (-9.0, 0.1)
    bad = {"automatic": {"points_per_side": "many"}}
    save(build("tiny", seed=1), tmp_path / "m.safetensors", bad)
    assert main([*arguments, "--output", str(tmp_path / "no")]) == 1
    assert "settings cannot be used" in capsys.readouterr().err
    assert not (tmp_path / "no").exists()


def test_one_quality_moves_what_the_checkpoint_recommends_and_given_options_win(
    image_path: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    advice = {"pred_iou_thresh": 0.4, "adaptive_grid": True, "full_votes": 3}
    save(build("tiny", seed=1), tmp_path / "m.safetensors", {"automatic": advice})
    arguments = ["generate", "--checkpoint", str(tmp_path / "m.safetensors"), "--input", image_path]
    few = ["--points-per-side", "2"]

    def settings(name: str, *more: str) -> dict:
        assert main([*arguments, "--output", str(tmp_path / name), *few, *more]) == 0
        return json.loads((tmp_path / name / "segloop-generate.settings").read_text())

    with_recommended = settings("advised")
    low, high = settings("low", "--quality", "low"), settings("high", "--quality", "100")
    given = settings("given", "--quality", "0", "--stability-thresh", "0.5", "--drop-tiny-masks")
    plain = settings("plain", "--no-adaptive-grid", "--max-area-share", "0.9")

    assert (with_recommended["pred_iou_thresh"], with_recommended["stability_thresh"]) == (
        0.4,
        0.95,
    )
    assert (with_recommended["adaptive_grid"], with_recommended["full_votes"]) == (True, 3)
    assert (low["pred_iou_thresh"], low["stability_thresh"]) == pytest.approx((0.2, 0.475))
    assert high["pred_iou_thresh"] == pytest.approx(0.88)
    assert (given["pred_iou_thresh"], given["stability_thresh"]) == (0.0, 0.5)
    assert given["drop_tiny_masks"]
    assert (plain["adaptive_grid"], plain["full_votes"], plain["max_area_share"]) == (False, 0, 0.9)
    with pytest.raises(SystemExit):
        main([*arguments, "--output", str(tmp_path / "no"), "--quality", "best"])
    assert "best is no number, low, medium or high" in capsys.readouterr().err


def test_results_of_before_a_setting_existed_were_made_without_it(
    checkpoint: str, image_path: str, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    assert generate(checkpoint, image_path, out) == 0
    record = out / "segloop-generate.settings"
    old = json.loads(record.read_text())
    for name in ("mask_nms_iou_thresh", "adaptive_grid", "full_votes", "settled_votes"):
        del old[name]
    record.write_text(json.dumps(old))

    assert generate(checkpoint, image_path, out) == 0
    assert generate(checkpoint, image_path, out, "--mask-nms-iou-thresh", "0.5") == 1


def test_info_and_export_decoder_say_what_they_did(
    checkpoint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["info", checkpoint]) == 0
    assert main(["export-decoder", checkpoint, str(tmp_path / "decoder.onnx")]) == 0

    out = capsys.readouterr().out
    assert "tiny at 128 px" in out
    assert "encoder sha256" in out
    assert (tmp_path / "decoder.onnx").stat().st_size > 1000


def test_info_tells_licence_training_and_settings_of_ours_and_of_official_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    facts = {
        "licence": "CC BY 4.0",
        "trained_on": ["leaves", "stones"],
        "automatic": {"pred_iou_thresh": 0.3},
    }
    save(build("tiny", seed=1), tmp_path / "ours.safetensors", facts, dtype=torch.float16)
    torch.save(build("tiny_vit", seed=1).state_dict(), tmp_path / "sam_vit_b_01ec64.pth")
    (tmp_path / "MODEL_CARD.md").touch()
    monkeypatch.setattr("sam.checkpoints.checkpoint_files.OFFICIAL_ENCODERS", TINY_OFFICIAL)

    assert main(["info", str(tmp_path / "ours.safetensors")]) == 0
    ours = capsys.readouterr().out
    assert main(["info", str(tmp_path / "sam_vit_b_01ec64.pth")]) == 0
    official = capsys.readouterr().out

    lines = {line[:16].strip(): line[16:].strip() for line in ours.splitlines()}
    assert lines["licence"] == "CC BY 4.0"
    assert lines["trained on"] == "leaves, stones"
    assert lines["recommended"] == "pred_iou_thresh 0.3"
    assert "float16" in lines["stored as"]
    assert lines["model card"] == str(tmp_path / "MODEL_CARD.md")
    assert "Apache-2.0" in official
    assert "SA-1B" in official


@pytest.mark.parametrize(
    "arguments",
    [
        ["info", "nowhere.safetensors"],
        ["info", "{image}"],
        ["info", "vit_h"],
        ["export-decoder", "{image}", "out.onnx"],
        ["generate", "--input", "{checkpoint}"],
        ["generate", "--input", "nowhere.jpg"],
        ["generate", "--input", "{empty}"],
        ["generate", "--input", "{image}", "--points-per-side", "0"],
        ["generate", "--input", "{image}", "--device", "nonsense"],
        ["generate", "--input", "{image}", "--device", "cuda:77"],
        ["generate", "--input", "{image}", "--output", "{checkpoint}"],
        ["generate", "--input", "{image}", "--checkpoint", "{empty}"],
        ["generate", "--input", "{image}", "--checkpoint", "{image}"],
    ],
)
def test_every_mistake_ends_in_one_line_and_status_one(
    arguments: list[str],
    checkpoint: str,
    image_path: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("SEGLOOP_CACHE_DIR", str(tmp_path / "cache"))
    (tmp_path / "empty").mkdir()
    places = {"image": image_path, "checkpoint": checkpoint, "empty": str(tmp_path / "empty")}
    filled = [argument.format(**places) for argument in arguments]
    if filled[0] == "generate":
        filled += [] if "--checkpoint" in filled else ["--checkpoint", checkpoint]
        filled += [] if "--output" in filled else ["--output", str(tmp_path / "out")]

    status = main(filled)

    captured = capsys.readouterr()
    assert status == 1
    assert captured.err.startswith("error: ")
    assert captured.err.count("\n") == 1
    assert captured.out == ""
    assert not list((tmp_path / "out").glob("*.json"))


def test_fetching_and_asking_for_help_load_no_torch() -> None:
    code = "import sys, sam.__main__, sam.checkpoints.fetch; sys.exit('torch' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
