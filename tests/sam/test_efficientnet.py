"""The EfficientNet-Lite trunk: published weights give the published net's features."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sam.checkpoints import checkpoint_files
from sam.export.onnx_encoder import use_onnxruntime
from sam.modeling.config import ConfigError, SamConfig
from sam.modeling.encoders.efficientnet import (
    EXPANSIONS,
    STRIDES,
    EfficientNetConfig,
    EfficientNetTrunk,
    SameConv,
    level_widths,
    load_published,
)
from sam.modeling.model import Sam, build
from sam.modeling.presets import PRESETS
from tests.efficientnets import SMALL, published_state, small_starter


def published_features(
    state: dict[str, Tensor], config: EfficientNetConfig, x: Tensor
) -> list[Tensor]:
    """Run the published form: unfolded norms, padding worked out from the image's size."""

    def conv(
        x: Tensor, name: str, norm: str, *, stride: int = 1, depthwise: bool = False
    ) -> Tensor:
        weight = state[f"{name}.weight"]
        size, kernel = x.shape[-1], weight.shape[-1]
        total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
        x = F.pad(x, (total // 2, total - total // 2, total // 2, total - total // 2))
        x = F.conv2d(x, weight, stride=stride, groups=weight.shape[0] if depthwise else 1)
        return F.batch_norm(
            x,
            state[f"{norm}.running_mean"],
            state[f"{norm}.running_var"],
            state[f"{norm}.weight"],
            state[f"{norm}.bias"],
            eps=1e-3,
        )

    x = F.relu6(conv(x, "_conv_stem", "_bn0", stride=2))
    found, index = [], 0
    for stage, repeats in enumerate(config.repeats):
        for repeat in range(repeats):
            there, before = f"_blocks.{index}.", x
            stride = STRIDES[stage] if repeat == 0 else 1
            if EXPANSIONS[stage] != 1:
                x = F.relu6(conv(x, f"{there}_expand_conv", f"{there}_bn0"))
            x = conv(x, f"{there}_depthwise_conv", f"{there}_bn1", stride=stride, depthwise=True)
            x = conv(F.relu6(x), f"{there}_project_conv", f"{there}_bn2")
            if stride == 1 and x.shape == before.shape:
                x = x + before
            index += 1
        if stage in (1, 2, 4, 6):
            found.append(x)
    return found


@torch.no_grad()
@pytest.mark.parametrize("size_px", [64, 96])
def test_published_weights_give_the_features_of_the_published_net(size_px: int) -> None:
    torch.manual_seed(0)
    state, images = published_state(SMALL), torch.randn(2, 3, size_px, size_px)
    trunk = EfficientNetTrunk(SMALL)

    load_published(trunk, state)

    levels = trunk(images)
    assert [level.shape[1] for level in levels] == list(level_widths(SMALL)) == [6, 8, 12, 16]
    assert [size_px // level.shape[-1] for level in levels] == [4, 8, 16, 32]
    for level, wanted in zip(levels, published_features(state, SMALL, images), strict=True):
        assert (level - wanted).abs().max() <= 2e-5 * wanted.abs().max()


@pytest.mark.parametrize(("kernel", "stride", "padding"), [(3, 2, (0, 1)), (5, 2, (1, 2))])
def test_odd_padding_goes_right_and_below(
    kernel: int, stride: int, padding: tuple[int, int]
) -> None:
    conv = SameConv(1, 1, kernel, stride=stride, bias=False)
    nn.init.ones_(conv.weight)
    image = torch.arange(64.0).reshape(1, 1, 8, 8)

    padded = F.pad(image, (*padding, *padding))
    wanted = F.conv2d(padded, conv.weight, stride=stride)

    assert torch.equal(conv(image), wanted)
    assert conv(image).shape[-1] == 4


def test_weights_of_another_size_are_refused() -> None:
    with pytest.raises(ValueError, match="these are not weights of this EfficientNet-Lite"):
        load_published(
            EfficientNetTrunk(SMALL),
            published_state(replace(SMALL, widths=(4, 6, 8, 10, 12, 14, 18))),
        )
    with pytest.raises(ValueError, match="_conv_stem"):
        load_published(EfficientNetTrunk(SMALL), {"_blocks.0._bn1.weight": torch.zeros(1)})


def test_an_efficientnet_has_seven_stages() -> None:
    with pytest.raises(ConfigError, match="seven stages"):
        replace(PRESETS["starter"], encoder=EfficientNetConfig(repeats=(1, 1, 1)))


@torch.no_grad()
def test_a_model_over_it_is_stored_and_read_back(tmp_path: Path) -> None:
    model, images = small_starter(), torch.randn(1, 3, 128, 128)

    checkpoint_files.save(model, tmp_path / "model.safetensors")
    again = checkpoint_files.load(tmp_path / "model.safetensors")

    assert again.config == model.config
    assert torch.equal(again.encode(images).image_embeddings, model.encode(images).image_embeddings)


@torch.no_grad()
def test_onnxruntime_gives_the_same_features(tmp_path: Path) -> None:
    model, images = small_starter(), torch.randn(1, 3, 128, 128)
    wanted = model.encode(images)

    use_onnxruntime(model, tmp_path)

    found = model.encode(images)
    for name in ("image_embeddings", "high_res_features"):
        difference = (getattr(found, name) - getattr(wanted, name)).abs().max()
        assert difference <= 1e-4 * getattr(wanted, name).abs().max()


def test_the_starter_s_pixels_are_scaled_as_its_trunk_was_trained() -> None:
    starter = build("starter", seed=0)

    grey = starter.normalise_and_pad(torch.tensor([127.0, 255.0, -1.0]).reshape(3, 1, 1))

    assert starter.config.pixel_std == (128.0, 128.0, 128.0)
    assert grey[0, :, 0, 0].tolist() == pytest.approx([0.0, 1.0, -1.0], abs=1e-6)
    assert grey[0, :, 5, 5].tolist() == [0.0, 0.0, 0.0]  # padding is mid-grey


def test_pixel_scaling_is_part_of_what_makes_embeddings() -> None:
    model = small_starter()
    other = Sam(replace(model.config, pixel_std=(1.0, 1.0, 1.0)))
    other.load_state_dict(model.state_dict())

    assert checkpoint_files.encoder_sha256(other) != checkpoint_files.encoder_sha256(model)


def test_an_older_header_without_pixel_scaling_reads_as_imagenet_s() -> None:
    values = PRESETS["tiny"].to_dict()
    del values["pixel_mean"], values["pixel_std"]

    assert SamConfig.from_dict(values) == PRESETS["tiny"]
