"""A training of the starter begins with earlier weights and a trunk that saw ImageNet."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from sam.checkpoints.checkpoint_files import CheckpointError
from sam.modeling.config import SamConfig
from sam.modeling.encoders.efficientnet import EfficientNetConfig, EfficientNetTrunk, load_published
from sam.modeling.model import Sam, build
from sam.modeling.presets import PRESETS
from sam.prompts import Prompts
from tests.efficientnets import SMALL, published_state
from training.starter.new_maps import MASK_LOGITS
from training.starter.start import published_trunk, started


@pytest.fixture
def shape() -> SamConfig:
    """The tiny model over an EfficientNet whose coarsest map is as wide as the tiny pyramid's."""
    tiny = PRESETS["tiny"].encoder
    assert not isinstance(tiny, EfficientNetConfig)
    encoder = replace(
        SMALL,
        coarse_channels=16,
        **{
            name: getattr(tiny, name)
            for name in (
                "neck_widths",
                "attention_blocks",
                "attention_heads",
                "embed_channels",
                "high_res_channels",
            )
        },
    )
    return replace(PRESETS["tiny"], encoder=encoder)


@pytest.fixture
def trunk(tmp_path: Path) -> Path:
    torch.manual_seed(5)
    path = tmp_path / "published.pth"
    torch.save(published_state(SMALL), path)
    return path


def test_another_encoder_takes_the_published_trunk_and_what_fits_of_the_start(
    shape: SamConfig, trunk: Path
) -> None:
    start = build("tiny", seed=3)

    model = started(start, shape, trunk=trunk)

    given, begun = start.state_dict(), model.state_dict()
    for name in given:
        if not name.startswith("image_encoder."):
            assert torch.equal(begun[name], given[name]), name
    # attention at stride 32 and the pyramid above it fit, the first maps' widths differ
    for name in ("global_blocks.0.qkv.weight", "smooths.2.0.weight", "embedding_out.weight"):
        assert torch.equal(begun[f"image_encoder.{name}"], given[f"image_encoder.{name}"])
    wanted = EfficientNetTrunk(SMALL)
    load_published(wanted, torch.load(trunk, weights_only=True))
    for name, tensor in wanted.state_dict().items():
        assert torch.equal(begun[f"image_encoder.trunk.{name}"], tensor)


def test_a_start_of_the_same_kind_keeps_its_own_trunk(shape: SamConfig) -> None:
    torch.manual_seed(8)
    start = Sam(shape)

    model = started(start, shape, trunk=None)

    for name, tensor in start.state_dict().items():
        assert torch.equal(model.state_dict()[name], tensor)


def test_another_encoder_without_a_trunk_is_refused(shape: SamConfig) -> None:
    with pytest.raises(CheckpointError, match="another kind of encoder: name a trunk"):
        started(build("tiny"), shape, trunk=None)


def test_a_trunk_of_another_size_is_refused(shape: SamConfig, tmp_path: Path) -> None:
    path = tmp_path / "wide.pth"
    torch.save(published_state(replace(SMALL, widths=(4, 6, 8, 10, 12, 14, 18))), path)

    with pytest.raises(CheckpointError, match=r"wide\.pth: these are not weights"):
        started(None, shape, trunk=path)
    with pytest.raises(CheckpointError, match="tiny has no EfficientNet trunk"):
        started(None, PRESETS["tiny"], trunk=path)


def test_a_package_that_is_not_installed_is_named() -> None:
    with pytest.raises(CheckpointError, match="no_such_weights is not installed"):
        published_trunk("no_such_weights")


@torch.no_grad()
def test_the_mask_to_refine_begins_as_a_faint_copy_of_itself() -> None:
    wanted = PRESETS["tiny"]
    maps = tuple(name for name in wanted.decoder.prompt_maps if name != "mask")
    known = replace(wanted, decoder=replace(wanted.decoder, prompt_maps=maps))
    grown = replace(wanted, decoder=replace(wanted.decoder, prompt_maps=(*maps, "mask")))
    torch.manual_seed(3)
    start = Sam(known).eval()

    model = started(start, grown, trunk=None).eval()

    features = start.encode(torch.rand(1, 3, 128, 128))
    click = Prompts.make(torch.tensor([[[40.0, 60.0]]]), torch.tensor([[1]]))
    before, after = start.decode(features, click), model.decode(features, click)
    assert torch.allclose(before.low_res_logits, after.low_res_logits, atol=1e-5)
    mask = torch.full((1, 1, 32, 32), -40.0)
    mask[..., 8:16, 8:16] = 40.0
    asked = Prompts.make(low_res_logits=mask)
    gained = (
        model.decode(features, asked).low_res_logits - start.decode(features, asked).low_res_logits
    )
    assert torch.allclose(gained[:, :1], MASK_LOGITS * mask.sign(), atol=1e-4)
    assert gained[:, 1:].abs().max() < 1e-5
