"""Growing: what fits is copied, the rest is told."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from sam.automatic.recommended_settings import recommended_by
from sam.checkpoints import checkpoint_files
from sam.checkpoints.checkpoint_files import CheckpointError
from sam.modeling.config import SamConfig
from sam.modeling.encoders.vit import VitConfig
from sam.modeling.model import Sam, build
from sam.modeling.presets import PRESETS
from training.finetuning.grow import grow, write_grown


def deeper(config: SamConfig) -> SamConfig:
    encoder = config.encoder
    assert isinstance(encoder, VitConfig)
    return replace(config, arch="tiny_vit_deep", encoder=replace(encoder, depth=3))


def engine(config: SamConfig) -> SamConfig:
    return replace(config, arch="tiny_engine", decoder=replace(config.decoder, num_layers=3))


def test_a_third_decoder_layer_is_the_only_new_thing_in_the_engine_s_model() -> None:
    start = build("tiny_vit", seed=0)

    grown, growth = grow(start, engine(start.config))

    new = {".".join(name.split(".")[:4]) for name in growth.new_names}
    assert new == {"mask_decoder.transformer.layers.2"}
    assert growth.encoder_from == "of the tiny_vit that was given"
    known = start.state_dict()
    for name, tensor in grown.state_dict().items():
        assert name in growth.new_names or torch.equal(tensor, known[name])
    assert "none new" not in growth.sentence()


def test_a_larger_encoder_starts_at_random_and_says_so() -> None:
    start = build("tiny_vit", seed=0)

    grown, growth = grow(start, deeper(start.config), seed=4)
    again, _ = grow(start, deeper(start.config), seed=4)

    assert growth.has_random_encoder
    assert growth.new_names == ()
    assert growth.sentence().startswith("encoder: random weights; ")
    state = grown.state_dict()
    assert torch.equal(
        state["mask_decoder.iou_token.weight"], start.state_dict()["mask_decoder.iou_token.weight"]
    )
    assert all(torch.equal(state[name], tensor) for name, tensor in again.state_dict().items())


def test_an_official_encoder_is_taken_when_it_is_given() -> None:
    start = build("tiny_vit", seed=0)
    lender = Sam(deeper(start.config))

    grown, growth = grow(start, deeper(start.config), encoder_from=lender)

    assert growth.encoder_from == "of the tiny_vit_deep checkpoint"
    name = "image_encoder.blocks.2.attn.qkv.weight"
    assert torch.equal(grown.state_dict()[name], lender.state_dict()[name])


def test_an_encoder_that_does_not_fit_is_refused() -> None:
    start = build("tiny_vit", seed=0)

    with pytest.raises(CheckpointError, match="the encoder of a tiny_vit does not fit a tiny_vit_"):
        grow(start, deeper(start.config), encoder_from=start)


def test_a_grown_start_is_written_the_same_each_time(tmp_path: Path) -> None:
    advice = {"automatic": {"pred_iou_thresh": 0.3}}
    checkpoint_files.save(build("tiny", seed=0), tmp_path / "start.safetensors", advice)

    for name in ("a", "b"):
        growth = write_grown(
            tmp_path / f"{name}.safetensors",
            start=tmp_path / "start.safetensors",
            config=PRESETS["tiny_vit"],
        )

    assert growth.has_random_encoder
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()
    assert checkpoint_files.load(tmp_path / "a.safetensors").config.arch == "tiny_vit"
    assert recommended_by(tmp_path / "a.safetensors") == advice["automatic"]
