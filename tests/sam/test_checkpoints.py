from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from sam.checkpoints import CheckpointError, encoder_sha256, load, read_header, save
from sam.config import PRESETS
from sam.model import Prompts, Sam, build
from sam.predictor import Predictor

CLICK = Prompts.make(torch.tensor([[[20.0, 30.0]]]), torch.tensor([[1]]))


@torch.no_grad()
def test_a_saved_model_comes_back_with_its_answers_and_its_metadata(
    model: Sam, tmp_path: Path, photo: np.ndarray
) -> None:
    path = tmp_path / "deep" / "model.safetensors"

    save(model, path, {"run": 7, "note": "first"})
    loaded = load(path)

    assert read_header(path).metadata == {
        "run": 7,
        "note": "first",
        "encoder_sha256": encoder_sha256(model),
    }
    assert loaded.config == model.config
    assert not loaded.training
    before = model.decode(model.encode(model.preprocess(photo)), CLICK)
    after = loaded.decode(loaded.encode(loaded.preprocess(photo)), CLICK)
    assert torch.equal(before.low_res_logits, after.low_res_logits)
    assert [item.name for item in path.parent.iterdir()] == ["model.safetensors"]


def test_a_loaded_model_can_be_trained(model: Sam, tmp_path: Path) -> None:
    save(model, tmp_path / "m.safetensors")

    loaded = load(tmp_path / "m.safetensors")

    assert all(p.requires_grad and p.dtype == torch.float32 for p in loaded.parameters())


def test_half_precision_halves_the_file_and_loads_as_float32(tmp_path: Path) -> None:
    model = build("tiny", seed=0)
    save(model, tmp_path / "full.safetensors")
    save(model, tmp_path / "half.safetensors", dtype=torch.float16)

    loaded = load(tmp_path / "half.safetensors")

    full, half = ((tmp_path / f"{n}.safetensors").stat().st_size for n in ("full", "half"))
    assert half < 0.7 * full
    assert next(loaded.parameters()).dtype == torch.float32
    torch.testing.assert_close(
        loaded.mask_decoder.mask_tokens.weight,
        model.mask_decoder.mask_tokens.weight,
        atol=2e-3,
        rtol=0,
    )


def test_the_encoder_s_fingerprint_ignores_the_decoder_and_survives_half_precision(
    tmp_path: Path,
) -> None:
    save(build("tiny", seed=0), tmp_path / "a.safetensors", dtype=torch.float16)
    model = load(tmp_path / "a.safetensors")
    before = encoder_sha256(model)
    assert read_header(tmp_path / "a.safetensors").metadata["encoder_sha256"] == before

    with torch.no_grad():
        model.mask_decoder.mask_tokens.weight += 1
    save(model, tmp_path / "b.safetensors", dtype=torch.float16)
    assert encoder_sha256(load(tmp_path / "b.safetensors")) == before

    with torch.no_grad():
        next(model.image_encoder.parameters()).add_(1)
    assert encoder_sha256(model) != before
    other_size = load(tmp_path / "a.safetensors", image_size_px=160)
    assert encoder_sha256(other_size) != before


def test_an_official_file_is_recognised_by_its_shapes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = build("tiny_vit", seed=3).state_dict()
    torch.save(weights, tmp_path / "sam_vit_x.pth")

    with pytest.raises(CheckpointError, match="not one of the official models"):
        load(tmp_path / "sam_vit_x.pth")
    monkeypatch.setattr("sam.checkpoints.OFFICIAL", ("tiny_vit",))
    loaded = load(tmp_path / "sam_vit_x.pth")

    assert loaded.config == PRESETS["tiny_vit"]
    assert all(torch.equal(v, weights[k]) for k, v in loaded.state_dict().items())
    Predictor(loaded).set_image(np.zeros((20, 30, 3), dtype=np.uint8))


class _Trap:
    def __reduce__(self) -> tuple:
        return (pytest.fail, ("the file's code ran",))


def wrong_files(folder: Path) -> dict[str, Path]:
    model = build("tiny", seed=0)
    good = folder / "good.safetensors"
    save(model, good)
    files = {
        name: folder / name
        for name in (
            "cut",
            "foreign",
            "missing",
            "renamed",
            "header",
            "words",
            "pickle",
            "empty",
            "integers",
            "nested",
        )
    }
    files["cut"].write_bytes(good.read_bytes()[:-1000])
    save_file({"a": torch.zeros(3)}, files["foreign"])
    config = {"segloop_config": json.dumps(model.config.to_dict())}
    weights = {k: v.contiguous() for k, v in model.state_dict().items()}
    save_file({"a": torch.zeros(3)}, files["renamed"], config)
    wrong = weights | {"mask_decoder.iou_token.weight": torch.zeros(1, 7)}
    save_file(wrong, files["integers"], config)
    save_file(weights, files["header"], {"segloop_config": '{"arch": "tiny"}'})
    files["words"].write_text("this is not a model at all")
    files["pickle"].write_bytes(pickle.dumps(_Trap()))
    files["empty"].write_bytes(b"")
    torch.save({"model": {"a": torch.zeros(2)}}, files["nested"])
    return files


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("cut", "not a readable safetensors file"),
        ("foreign", "no configuration in its header"),
        ("missing", "there is no checkpoint"),
        ("renamed", "does not fit its configuration"),
        ("integers", r"iou_token.weight has shape \(1, 7\), expected \(1, 16\)"),
        ("header", "header of header cannot be read"),
        ("words", "not a readable"),
        ("pickle", "not a readable checkpoint"),
        ("empty", "too short"),
        ("nested", "not a flat table"),
    ],
)
def test_a_file_that_is_no_model_is_refused_with_the_reason(
    tmp_path: Path, name: str, message: str
) -> None:
    with pytest.raises(CheckpointError, match=message) as caught:
        load(wrong_files(tmp_path)[name])

    assert "\n" not in str(caught.value)


def test_a_vit_cannot_serve_at_another_size(tmp_path: Path) -> None:
    save(build("tiny_vit", seed=0), tmp_path / "m.safetensors")

    with pytest.raises(CheckpointError, match="128 px only"):
        load(tmp_path / "m.safetensors", image_size_px=256)


def test_a_save_that_fails_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "m.safetensors"
    save(build("tiny", seed=0), path)
    before = path.read_bytes()

    def full_disk(_: int) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr("os.fsync", full_disk)
    with pytest.raises(OSError, match="no space"):
        save(build("tiny", seed=1), path)

    assert path.read_bytes() == before
    assert [item.name for item in tmp_path.iterdir()] == ["m.safetensors"]
