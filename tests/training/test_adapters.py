"""Low-rank adapters: they start as nothing, learn little, and end as plain weights."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from sam.modeling.model import build
from training.finetuning import adapters


def test_an_adapter_adds_a_low_rank_product() -> None:
    layer = nn.Linear(3, 2)
    weight = layer.weight.detach().clone()
    (name,) = ["qkv"]
    encoder = nn.ModuleDict({name: layer})

    (adapter,) = adapters.attach(encoder, rank=1, scale=2.0, seed=0)
    with torch.no_grad():
        adapter.up.copy_(torch.tensor([[1.0], [3.0]]))
        adapter.down.copy_(torch.tensor([[1.0, 0.0, -1.0]]))

    # W + 2 * [1, 3]^T [1, 0, -1]
    by_hand = weight + torch.tensor([[2.0, 0.0, -2.0], [6.0, 0.0, -6.0]])
    assert torch.equal(layer.weight, by_hand)
    adapters.merge(encoder)
    assert torch.equal(layer.weight, by_hand)
    assert isinstance(layer.weight, nn.Parameter)


@pytest.mark.parametrize("preset", ["tiny_vit", "tiny"])
def test_adapters_start_as_nothing_and_leave_the_model_s_own_names(preset: str) -> None:
    model = build(preset, seed=0).eval()
    names = set(model.state_dict())
    size = model.config.image_size_px
    image = torch.randn(1, 3, size, size)
    with torch.no_grad():
        before = model.encode(image).image_embeddings

    attached = adapters.attach(model.image_encoder, rank=2, scale=1.0, seed=0)
    with torch.no_grad():
        during = model.encode(image).image_embeddings
        for adapter in attached:
            adapter.up.normal_(std=0.05)
        changed = model.encode(image).image_embeddings
    adapters.merge(model.image_encoder)
    with torch.no_grad():
        merged = model.encode(image).image_embeddings

    assert torch.equal(before, during)
    assert not torch.equal(before, changed)
    assert torch.equal(changed, merged)
    assert set(model.state_dict()) == names
    assert all(parameter.requires_grad for parameter in attached.parameters())


def test_attention_and_level_mixing_layers_are_adapted() -> None:
    vit = adapters.adapted_layers(build("tiny_vit", seed=0).image_encoder)
    pyramid = adapters.adapted_layers(build("tiny", seed=0).image_encoder)

    assert {"blocks.0.attn.qkv", "blocks.1.attn.proj", "neck.0"} <= set(vit)
    assert not any("mlp" in name or "patch_embed" in name for name in vit)
    assert {"global_blocks.0.qkv", "global_blocks.0.out", "laterals.0", "downs.2"} <= set(pyramid)
    assert not any(name.startswith(("stem", "stages")) for name in pyramid)


def test_an_encoder_with_nothing_to_adapt_is_refused() -> None:
    with pytest.raises(ValueError, match="no attention and no 1x1 convolution"):
        adapters.attach(nn.Sequential(nn.Conv2d(3, 3, 3)), rank=2, scale=1.0, seed=0)
