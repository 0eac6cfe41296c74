from __future__ import annotations

import argparse
import json
import pickle
import resource
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from sam.checkpoint_info import describe
from sam.checkpoints import CheckpointError, encoder_sha256, load, read_header, save
from sam.config import PRESETS
from sam.model import Prompts, Sam, build
from sam.official import cached_path
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
    monkeypatch.setattr("sam.checkpoints.OFFICIAL", ("tiny_vit",))
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


class _Trap:
    def __reduce__(self) -> tuple:
        return (pytest.fail, ("the file's code ran",))


def write_zip(path: Path, entries: dict[str, bytes], *, deflated: bool = False) -> None:
    method = zipfile.ZIP_DEFLATED if deflated else zipfile.ZIP_STORED
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in entries.items():
            archive.writestr(f"archive/{name}", data)


def described(path: Path, **changes: object) -> None:
    """Write a file whose header describes another model than its one tensor."""
    config = build("tiny", seed=0).config.to_dict()
    for part, values in changes.items():
        config[part] = values if not isinstance(values, dict) else config[part] | values
    save_file({"a": torch.zeros(3)}, path, {"segloop_config": json.dumps(config)})


def with_values(path: Path, **changes: torch.Tensor) -> None:
    model = build("tiny", seed=0)
    weights = {k: v.contiguous() for k, v in model.state_dict().items()}
    weights |= {name.replace("__", "."): value for name, value in changes.items()}
    save_file(weights, path, {"segloop_config": json.dumps(model.config.to_dict())})


def cut(path: Path, num_bytes: int) -> None:
    save(build("tiny", seed=0), path)
    path.write_bytes(path.read_bytes()[:num_bytes])


def tiny_vit() -> dict[str, torch.Tensor]:
    return dict(build("tiny_vit", seed=3).state_dict())


def under(prefix: str) -> dict[str, torch.Tensor]:
    return {f"{prefix}{name}": tensor for name, tensor in tiny_vit().items()}


def official(path: Path, **changes: object) -> None:
    """Write the tiny official model, changed, with torch.save."""
    weights = tiny_vit()
    weights |= {name.replace("__", "."): value for name, value in changes.items()}
    torch.save({name: value for name, value in weights.items() if value is not None}, path)


def halved(path: Path) -> None:
    official(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def lying_length(path: Path) -> None:
    path.write_bytes((2**62).to_bytes(8, "little") + b"{" + b" " * 100)


def lying_shape(path: Path) -> None:
    """Claim a tensor of a terabyte in a file of a few bytes."""
    header = {"a": {"dtype": "F32", "shape": [1 << 20, 1 << 18], "data_offsets": [0, 1 << 40]}}
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + b"1234")


IOU_TOKEN = "mask_decoder__iou_token__weight"
NOT_FINITE = {kind: torch.full((1, 16), float(kind)) for kind in ("nan", "inf", "-inf")}
WRONG: dict[str, tuple[Callable[[Path], object], str]] = {
    "folder": (Path.mkdir, "is a folder, not a checkpoint"),
    "missing": (lambda path: None, "there is no checkpoint"),
    "empty": (Path.touch, "too short"),
    "words": (lambda path: path.write_text("this is not a model"), "not a readable checkpoint"),
    "zeros": (lambda path: path.write_bytes(bytes(5000)), "not a readable checkpoint"),
    "brackets": (lambda path: path.write_text('12345678{"a": '), "not a readable safetensors"),
    "lying length": (lying_length, "not a readable safetensors"),
    "lying shape": (lying_shape, "not a readable safetensors"),
    "cut by 1000": (lambda path: cut(path, -1000), "not a readable safetensors"),
    "cut in the header": (lambda path: cut(path, 500), "not a readable safetensors"),
    "foreign": (lambda path: save_file({"a": torch.zeros(3)}, path), "no configuration in its"),
    "another model": (described, r"does not fit its configuration: \d+ tensors missing, 1 unknown"),
    "half a header": (
        lambda path: save_file({"a": torch.zeros(3)}, path, {"segloop_config": '{"arch": "x"}'}),
        "the header of .* cannot be read",
    ),
    "a nested header": (
        lambda path: save_file({"a": torch.zeros(3)}, path, {"segloop_config": "[" * 100_000}),
        "the header of .* cannot be read",
    ),
    "no end of layers": (
        lambda path: described(path, decoder={"num_layers": 10**9}),
        "cannot be built: num_layers must lie between 0 and 256",
    ),
    "no end of width": (
        lambda path: described(path, decoder={"mlp_dim": 10**12}),
        "cannot be built: mlp_dim must lie",
    ),
    "a size in words": (
        lambda path: described(path, decoder={"num_layers": "two"}),
        "cannot be built",
    ),
    "wrong shape": (
        lambda path: with_values(path, **{IOU_TOKEN: torch.zeros(1, 7)}),
        r"iou_token.weight has shape \(1, 7\), expected \(1, 16\)",
    ),
    "wrong type": (
        lambda path: with_values(path, **{IOU_TOKEN: torch.zeros(1, 16, dtype=torch.int32)}),
        "iou_token.weight has type I32, expected float32 or float16 or bfloat16",
    ),
    "doubles": (
        lambda path: with_values(path, **{IOU_TOKEN: torch.zeros(1, 16, dtype=torch.float64)}),
        "iou_token.weight has type F64",
    ),
    **{
        kind: (
            lambda path, value=value: with_values(path, **{IOU_TOKEN: value}),
            "mask_decoder.iou_token.weight holds NaN or infinite values",
        )
        for kind, value in NOT_FINITE.items()
    },
    "code": (
        lambda path: path.write_bytes(pickle.dumps(_Trap())),
        "not a readable checkpoint: neither",
    ),
    "code in a zip": (lambda path: torch.save({"a": _Trap()}, path), "not a readable checkpoint"),
    "any zip": (lambda path: write_zip(path, {"a.txt": b"hello"}), "not a readable checkpoint"),
    "bomb": (
        lambda path: write_zip(path, {"data.pkl": bytes(10**7)}, deflated=True),
        "it is compressed",
    ),
    "large table": (lambda path: write_zip(path, {"data.pkl": bytes(17 << 20)}), "too large"),
    "half a zip": (halved, "not a readable checkpoint"),
    "nested, another network": (
        lambda path: torch.save({"model": {"a": torch.zeros(2)}}, path),
        "not one of the official models tiny_vit",
    ),
    "nested twice": (
        lambda path: torch.save({"state": {"model": {"a": torch.zeros(2)}}}, path),
        "not a flat table of tensors, and holds none .* like model or state_dict",
    ),
    "two tables": (
        lambda path: torch.save(
            {"decoder_state": {"a": torch.zeros(1)}, "model_state": tiny_vit()}, path
        ),
        r"2 tables of tensors \(decoder_state, model_state\), .* save it alone, "
        r'torch.save\(torch.load\("given", weights_only=True\)\["model_state"\], "model.pth"\)',
    ),
    "before PyTorch 1.6": (
        lambda path: torch.save(tiny_vit(), path, _use_new_zipfile_serialization=False),
        r"format of PyTorch before 1.6, .* write it anew: torch.save\(torch.load\(\"given\", map",
    ),
    "a trainer's objects": (
        lambda path: torch.save({"model": tiny_vit(), "args": argparse.Namespace(lr=1)}, path),
        r"not a readable checkpoint: it holds Python objects \(argparse.Namespace\), .* save the",
    ),
    "with and without prefix": (
        lambda path: torch.save({**under("sam."), **tiny_vit()}, path),
        "holds tensors twice: with sam. and without",
    ),
    "prefix and more": (
        lambda path: torch.save({**under("model."), "loss.weight": torch.zeros(2)}, path),
        "1 unknown, first loss.weight; what it has more is no part of this model: save the SAM's",
    ),
    "official, HQ-SAM": (
        lambda path: official(path, mask_decoder__hf_token__weight=torch.zeros(1, 16)),
        "1 unknown, first mask_decoder.hf_token.weight; what it has more is the decoder of HQ-SAM",
    ),
    "micro-sam in one table": (
        lambda path: official(path, decoder__blocks__0__weight=torch.zeros(2)),
        "what it has more is the instance decoder of micro-sam: save the SAM's own tensors alone",
    ),
    "adapters": (
        lambda path: official(path, image_encoder__lora_a=torch.zeros(2)),
        "what it has more is low-rank adapters; merge them into the weights",
    ),
    "transformers' names": (
        lambda path: torch.save({"vision_encoder.pos_embed": torch.zeros(2)}, path),
        "not one of the official models tiny_vit; it holds the names of transformers' SamModel",
    ),
    "a list": (lambda path: torch.save([torch.zeros(2)], path), "not a flat table of tensors"),
    "official, another network": (
        lambda path: torch.save({"backbone.weight": torch.zeros(2)}, path),
        "not one of the official models tiny_vit",
    ),
    "official, one missing": (
        lambda path: official(path, **{IOU_TOKEN: None}),
        "1 tensors missing, 0 unknown, first mask_decoder.iou_token.weight",
    ),
    "official, one more": (
        lambda path: official(path, **{"hf_token__weight": torch.zeros(1)}),
        "0 tensors missing, 1 unknown, first hf_token.weight",
    ),
    "official, wrong shape": (
        lambda path: official(path, **{IOU_TOKEN: torch.zeros(1).expand(10**6, 10**6)}),
        r"iou_token.weight has shape \(1000000, 1000000\), expected \(1, 16\)",
    ),
    "official, wrong type": (
        lambda path: official(path, **{IOU_TOKEN: torch.zeros(1, 16, dtype=torch.int64)}),
        "iou_token.weight has type int64",
    ),
    "official, nan": (
        lambda path: official(path, **{IOU_TOKEN: NOT_FINITE["nan"]}),
        "mask_decoder.iou_token.weight holds NaN",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_file_that_is_no_model_is_refused_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr("sam.checkpoints.OFFICIAL", ("tiny_vit",))
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
    monkeypatch.setattr("sam.checkpoints.OFFICIAL", ("tiny_vit",))

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
    monkeypatch.setattr("sam.checkpoints.OFFICIAL", ("tiny_vit",))
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
