"""The registry of image encoders: a kind from outside works everywhere, and leaves no trace."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from sam.checkpoints import checkpoint_files
from sam.checkpoints.checkpoint_files import CheckpointError
from sam.detection.object_detector import config_for
from sam.export.onnx_decoder import export_decoder
from sam.modeling.config import ConfigError, SamConfig
from sam.modeling.encoders.registry import ENCODERS, EncoderConfig, EncoderSpec, ModelSizes
from sam.modeling.features import ImageFeatures
from sam.modeling.model import Sam, build
from sam.modeling.presets import PRESETS

KINDS = ["vit", "pyramid", "efficientnet"]


@dataclass(frozen=True, kw_only=True)
class PatchConfig(EncoderConfig):
    """Two convolutions over patches."""

    width: int
    kernels: tuple[int, ...] = (3,)


class PatchEncoder(nn.Module):
    """Project patches of 16 px, then mix neighbours."""

    def __init__(self, config: PatchConfig, *, out_channels: int) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, config.width, 16, stride=16)
        self.mix = nn.Conv2d(config.width, out_channels, config.kernels[0], padding="same")

    def forward(self, images_b3ss: Tensor) -> ImageFeatures:
        """Encode normalised, padded images."""
        return ImageFeatures(self.mix(torch.relu(self.patches(images_b3ss))))


def _build(config: PatchConfig, model: ModelSizes) -> PatchEncoder:
    return PatchEncoder(config, out_channels=model.embed_channels)


def _check(config: PatchConfig, model: ModelSizes) -> None:
    if config.width < 1:
        raise ConfigError("patches need a channel")


SPEC = EncoderSpec(
    config_class=PatchConfig,
    build=_build,
    check=_check,
    size_step_px=48,
    has_fixed_size=False,
    prefers_onnxruntime=True,
)


@pytest.fixture
def _patches() -> Iterator[None]:
    with ENCODERS.registered("patches", SPEC):
        yield


def patch_config(*, width: int = 8, image_size_px: int = 96) -> SamConfig:
    return replace(
        PRESETS["tiny_vit"],
        arch="tiny_patches",
        image_size_px=image_size_px,
        encoder=PatchConfig(width=width),
    )


def saved(path: Path) -> Sam:
    torch.manual_seed(0)
    model = Sam(patch_config()).eval()
    checkpoint_files.save(model, path)
    return model


@pytest.mark.usefixtures("_patches")
def test_a_registered_encoder_is_built_saved_and_loaded(tmp_path: Path) -> None:
    model = saved(tmp_path / "patches.safetensors")
    image = np.random.default_rng(0).integers(0, 256, (60, 96, 3), dtype=np.uint8)

    loaded = checkpoint_files.load(tmp_path / "patches.safetensors")
    with torch.no_grad():
        features = model.encode(model.preprocess(image))
        again = loaded.encode(loaded.preprocess(image))

    assert loaded.config == model.config
    assert isinstance(loaded.image_encoder, PatchEncoder)
    assert features.image_embeddings.shape == (1, 16, 6, 6)
    assert torch.equal(features.image_embeddings, again.image_embeddings)
    header = checkpoint_files.read_header(tmp_path / "patches.safetensors")
    assert header.config.to_dict()["encoder"] == {"kind": "patches", "width": 8, "kernels": (3,)}


@pytest.mark.usefixtures("_patches")
def test_the_decoder_of_a_registered_encoder_is_exported(tmp_path: Path) -> None:
    model = saved(tmp_path / "patches.safetensors")

    export_decoder(model, tmp_path / "decoder.onnx")

    session = onnxruntime.InferenceSession(tmp_path / "decoder.onnx")
    shapes = {one.name: one.shape for one in session.get_inputs()}
    assert shapes["image_embeddings"] == [1, 16, 6, 6]
    assert "high_res_features" not in shapes


@pytest.mark.usefixtures("_patches")
def test_a_spec_decides_sizes_and_checks() -> None:
    with pytest.raises(ConfigError, match="multiple of 48"):
        patch_config(image_size_px=128)
    with pytest.raises(ConfigError, match="patches need a channel"):
        patch_config(width=0)

    assert patch_config().at_image_size(144).embedding_size == 9
    with pytest.raises(ConfigError, match="position tables"):
        PRESETS["tiny_vit"].at_image_size(144)


def test_afterwards_the_registry_is_as_before(tmp_path: Path) -> None:
    before = dict(ENCODERS)

    with ENCODERS.registered("patches", SPEC):
        saved(tmp_path / "patches.safetensors")
        config = patch_config()
        assert list(ENCODERS) == [*KINDS, "patches"]

    assert dict(ENCODERS) == before
    assert list(ENCODERS) == KINDS
    with pytest.raises(CheckpointError, match="unknown kind of encoder: 'patches'"):
        checkpoint_files.load(tmp_path / "patches.safetensors")
    with pytest.raises(KeyError, match="PatchConfig"):
        ENCODERS.spec_of(config.encoder)


def test_a_name_is_registered_once() -> None:
    with (
        pytest.raises(ValueError, match="'vit' is registered twice"),
        ENCODERS.registered("vit", SPEC),
    ):
        pass

    assert ENCODERS["vit"] is not SPEC


@pytest.mark.parametrize(
    ("preset", "kind", "size_step_px", "prefers_onnxruntime"),
    [
        ("vit_b", "vit", 16, False),
        ("tiny", "pyramid", 32, True),
        ("starter", "efficientnet", 32, True),
    ],
)
def test_the_kinds_of_the_presets(
    preset: str, kind: str, size_step_px: int, prefers_onnxruntime: bool
) -> None:
    config = PRESETS[preset]

    spec = ENCODERS.spec_of(config.encoder)

    assert config.to_dict()["encoder"]["kind"] == kind
    assert SamConfig.from_dict(config.to_dict()) == config
    assert (spec.size_step_px, spec.prefers_onnxruntime) == (size_step_px, prefers_onnxruntime)
    assert spec.has_fixed_size == (kind == "vit")


def test_a_detector_takes_the_stride_of_the_model() -> None:
    config = config_for(build("tiny", seed=0))

    assert config.embedding_stride_px == 16
    assert config.strides_px == (8, 16, 32, 64)
