from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from masks.rle import Rle
from sam.__main__ import main
from sam.checkpoints import save
from sam.model import build


@pytest.fixture
def checkpoint(tmp_path: Path) -> str:
    path = tmp_path / "tiny.safetensors"
    save(build("tiny", seed=1), path)
    return str(path)


@pytest.fixture
def photo_path(tmp_path: Path, photo: np.ndarray) -> str:
    path = tmp_path / "photo.png"
    Image.fromarray(photo).save(path)
    return str(path)


def test_generate_writes_masks_that_decode(
    checkpoint: str, photo_path: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "masks.json"

    loose = ["--points-per-side", "4", "--pred-iou-thresh", "-9", "--stability-thresh", "0"]
    status = main(["generate", photo_path, "--checkpoint", checkpoint, "--out", str(out), *loose])

    content = json.loads(out.read_text())
    assert status == 0
    assert content["image"] == {"file_name": "photo.png", "height": 90, "width": 130}
    assert len(content["annotations"]) > 0
    for annotation in content["annotations"]:
        rle = Rle.from_coco(annotation["segmentation"], image_hw=(90, 130))
        assert rle.area_px == annotation["area"]
    assert f"{len(content['annotations'])} masks" in capsys.readouterr().out


def test_info_and_export_decoder_say_what_they_did(
    checkpoint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["info", checkpoint]) == 0
    assert main(["export-decoder", checkpoint, str(tmp_path / "decoder.onnx")]) == 0

    out = capsys.readouterr().out
    assert "tiny at 128 px" in out
    assert "encoder sha256" in out
    assert (tmp_path / "decoder.onnx").stat().st_size > 1000


@pytest.mark.parametrize(
    "arguments",
    [
        ["info", "nowhere.safetensors"],
        ["info", "{photo}"],
        ["export-decoder", "{photo}", "out.onnx"],
        ["generate", "{checkpoint}", "--checkpoint", "{checkpoint}"],
        ["generate", "nowhere.jpg", "--checkpoint", "{checkpoint}"],
        ["generate", "{photo}", "--checkpoint", "{checkpoint}", "--points-per-side", "0"],
    ],
)
def test_every_mistake_ends_in_one_line_and_status_one(
    arguments: list[str], checkpoint: str, photo_path: str, capsys: pytest.CaptureFixture[str]
) -> None:
    filled = [a.format(photo=photo_path, checkpoint=checkpoint) for a in arguments]

    status = main(filled)

    captured = capsys.readouterr()
    assert status == 1
    assert captured.err.startswith("error: ")
    assert captured.err.count("\n") == 1
    assert captured.out == ""
