"""Model files: the tiny official model as others write it, and files that are no model."""

from __future__ import annotations

import argparse
import json
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from sam.checkpoints.checkpoint_files import save
from sam.modeling.model import build
from sam.modeling.presets import PRESETS

TINY_OFFICIAL = {"tiny_vit": PRESETS["tiny_vit"].encoder}
"""What tests take for the encoders of the official checkpoints."""


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
