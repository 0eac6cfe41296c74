from __future__ import annotations

import resource
from pathlib import Path

import numpy as np
import pytest
import torch

from sam.checkpoint_info import describe
from sam.checkpoints.checkpoint_files import (
    CheckpointError,
    encoder_sha256,
    load,
    read_header,
    save,
)
from sam.checkpoints.official import cached_path
from sam.modeling.model import Prompts, Sam, build
from sam.modeling.presets import PRESETS
from sam.prompting.predictor import Predictor
from tests.sam.model_files import (
    IOU_TOKEN,
    TINY_OFFICIAL,
    WRONG,
    official,
    tiny_vit,
    under,
    with_values,
)

CLICK = Prompts.make(torch.tensor([[[20.0, 30.0]]]), torch.tensor([[1]]))


@torch.no_grad()
def test_a_saved_model_comes_back_with_its_answers_and_its_metadata(
    model: Sam, tmp_path: Path, image_rgb: np.ndarray
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
    before = model.decode(model.encode(model.preprocess(image_rgb)), CLICK)
    after = loaded.decode(loaded.encode(loaded.preprocess(image_rgb)), CLICK)
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
    monkeypatch.setattr("sam.checkpoints.checkpoint_files.OFFICIAL_ENCODERS", TINY_OFFICIAL)
    loaded = load(tmp_path / "sam_vit_x.pth")

    assert loaded.config == PRESETS["tiny_vit"]
    assert all(torch.equal(v, weights[k]) for k, v in loaded.state_dict().items())
    Predictor(loaded).set_image(np.zeros((20, 30, 3), dtype=np.uint8))


WRAPPED = {
    "model": (lambda: {"model": tiny_vit()}, "the table model"),
    "state_dict": (lambda: {"state_dict": under("model."), "epoch": 3}, "names after model."),
    "model_state": (lambda: {"model_state": under("sam.")}, "the table model_state, names after"),
    "with its trainer": (
        lambda: {
            "net": under("module."),
            "optimizer": {"state": {}, "param_groups": [{"lr": 0.1}]},
        },
        "the table net, names after module.",
    ),
    "DataParallel": (lambda: under("module."), "names after module."),
    "sam_model": (lambda: under("module.sam_model."), "names after module.sam_model."),
    "compiled": (lambda: under("_orig_mod."), "names after _orig_mod."),
}


@pytest.mark.parametrize("name", WRAPPED)
def test_an_official_model_is_found_under_what_trainers_put_around_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr("sam.checkpoints.checkpoint_files.OFFICIAL_ENCODERS", TINY_OFFICIAL)
    content, told = WRAPPED[name]
    torch.save(content(), tmp_path / "fine_tuned.pth")

    loaded = load(tmp_path / "fine_tuned.pth")

    weights = tiny_vit()
    assert all(torch.equal(v, weights[k]) for k, v in loaded.state_dict().items())
    lines = dict(describe(tmp_path / "fine_tuned.pth"))
    assert told in lines["unwrapped"]
    assert "\n" not in lines["unwrapped"]
    assert lines["image_encoder"]  # sizes are told by the official names
    torch.save(weights, tmp_path / "bare.pth")
    assert "unwrapped" not in dict(describe(tmp_path / "bare.pth"))


@pytest.mark.parametrize("name", WRONG)
def test_a_file_that_is_no_model_is_refused_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr("sam.checkpoints.checkpoint_files.OFFICIAL_ENCODERS", TINY_OFFICIAL)
    write, message = WRONG[name]
    write(tmp_path / "given")

    with pytest.raises(CheckpointError, match=message) as caught:
        load(tmp_path / "given")

    assert "\n" not in str(caught.value)
    if "holds NaN" in message:  # seen only when the values are read
        return
    with pytest.raises(CheckpointError) as told:
        describe(tmp_path / "given")
    assert str(told.value) == str(caught.value)


def test_shapes_are_checked_before_memory_is_taken(tmp_path: Path) -> None:
    with_values(tmp_path / "given", **{IOU_TOKEN: torch.zeros(200_000_000, dtype=torch.uint8)})
    before_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    with pytest.raises(CheckpointError, match=r"iou_token.weight has shape"):
        load(tmp_path / "given")

    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kb < 100_000


def test_an_official_model_is_loaded_by_name_once_it_was_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEGLOOP_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr("sam.checkpoints.checkpoint_files.OFFICIAL_ENCODERS", TINY_OFFICIAL)

    with pytest.raises(CheckpointError, match="run python -m sam fetch vit_b"):
        load("vit_b")
    cached_path("vit_b").parent.mkdir()
    official(cached_path("vit_b"))

    assert load("vit_b").config == PRESETS["tiny_vit"]


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


@pytest.mark.parametrize("kind", ["ours", "official"])
def test_a_file_with_flipped_bytes_is_loaded_whole_or_refused_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr("sam.checkpoints.checkpoint_files.OFFICIAL_ENCODERS", TINY_OFFICIAL)
    if kind == "ours":
        save(build("tiny_vit", seed=3), tmp_path / "given")
    else:
        official(tmp_path / "given")
    good = (tmp_path / "given").read_bytes()
    random = np.random.default_rng(5)
    refusals: list[str] = []

    for attempt in range(60):
        # Headers and tables lie at the two ends: most flips go there.
        near = int(random.choice([200, 3_000, len(good)]))
        at = random.integers(0, near, 1 + attempt % 4)
        at = len(good) - 1 - at if kind == "official" and attempt % 2 else at
        damaged = np.frombuffer(good, dtype=np.uint8).copy()
        damaged[at] = random.integers(0, 256, at.size)
        (tmp_path / "given").write_bytes(damaged.tobytes())
        try:
            model = load(tmp_path / "given")
        except CheckpointError as error:
            refusals.append(str(error))
        else:
            assert all(torch.isfinite(value).all() for value in model.state_dict().values())

    assert len(refusals) > 10
    assert not any("\n" in refusal for refusal in refusals)
