"""Layer-wise decay and drop path, on small encoders of both kinds."""

from __future__ import annotations

import pytest
import torch

from sam.modeling.model import Sam, build
from tests.efficientnets import small_starter
from training.finetuning.encoder_layers import (
    drop_path,
    drop_rates,
    learning_rate_shares,
    residual_branches,
)


def test_early_layers_of_a_vit_take_smaller_steps() -> None:
    shares = learning_rate_shares(build("tiny_vit", seed=0).image_encoder, decay=0.8)

    # two blocks: the neck 1, then 0.8, 0.8^2, and 0.8^3 for patches and positions
    assert shares["neck.0.weight"] == 1.0
    assert shares["blocks.1.attn.qkv.weight"] == pytest.approx(0.8)
    assert shares["blocks.0.mlp.lin1.weight"] == pytest.approx(0.64)
    assert shares["patch_embed.proj.weight"] == pytest.approx(0.512)
    assert shares["pos_embed"] == pytest.approx(0.512)


def test_the_stages_of_a_pyramid_count_as_layers() -> None:
    shares = learning_rate_shares(build("tiny", seed=0).image_encoder, decay=0.5)

    # four stages: laterals and outputs 1, stages 1/2 to 1/16, stem 1/32
    assert shares["laterals.0.weight"] == 1.0
    assert shares["stages.3.0.0.weight"] == 1 / 2
    assert shares["stages.0.0.conv1.0.weight"] == 1 / 16
    assert shares["stem.0.0.weight"] == 1 / 32


def test_the_blocks_of_a_trunk_count_as_layers() -> None:
    shares = learning_rate_shares(small_starter().image_encoder, decay=0.5)

    # nine blocks: the last has one half, the first 2^-9, the stem 2^-10, what follows them 1
    assert shares["trunk.stem.weight"] == 0.5**10
    assert shares["trunk.blocks.0.depthwise.weight"] == 0.5**9
    assert shares["trunk.blocks.8.project.weight"] == 0.5
    assert shares["narrow.weight"] == shares["global_blocks.0.qkv.weight"] == 1.0


def test_only_blocks_that_add_to_their_input_are_dropped() -> None:
    encoder = small_starter().image_encoder

    branches = residual_branches(encoder)

    # of the stages (1, 2, 1, 2, 1, 1, 1) only second blocks keep stride and width; then attention
    trunk = [encoder.get_submodule(f"trunk.blocks.{index}.project") for index in (2, 5)]
    assert [branch for (branch,) in branches[:2]] == trunk
    assert len(branches) == 3


def test_no_decay_treats_all_layers_alike() -> None:
    shares = learning_rate_shares(build("tiny_vit", seed=0).image_encoder, decay=1.0)

    assert set(shares.values()) == {1.0}


def test_drop_rates_rise_linearly() -> None:
    assert drop_rates(5, last=0.4) == pytest.approx([0.0, 0.1, 0.2, 0.3, 0.4])
    assert drop_rates(1, last=0.4) == [0.0]


def images(model: Sam, num: int) -> torch.Tensor:
    size = model.config.image_size_px
    return torch.randn(num, 3, size, size, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("preset", ["tiny_vit", "tiny"])
@torch.no_grad()
def test_what_is_dropped_is_a_whole_branch_and_what_stays_is_scaled(preset: str) -> None:
    model = build(preset, seed=0).eval()
    encoder = model.image_encoder
    branch = residual_branches(encoder)[-1][-1]
    plain: list[torch.Tensor] = []
    handle = branch.register_forward_hook(lambda module, given, output: plain.append(output))
    outputs: list[torch.Tensor] = []
    factors = set()
    for seed in range(12):
        generator = torch.Generator().manual_seed(seed)
        with drop_path(encoder, rate=0.5, generator=generator):
            late = branch.register_forward_hook(lambda m, given, output: outputs.append(output))
            model.encode(images(model, 2))
            late.remove()
        for before, after in zip(plain[-1], outputs[-1], strict=True):
            middle = before.abs() > 1e-4
            factors |= (
                {round(float(f), 3) for f in (after / before)[middle].unique()}
                if (middle.any())
                else set()
            )
    handle.remove()

    # the last block's rate is the rate itself: dropped, or kept at 1 / (1 - 0.5)
    assert {round(f) for f in factors} <= {0, 2}
    assert preset == "tiny" or factors


@torch.no_grad()
def test_after_the_context_the_encoder_is_itself_again() -> None:
    model = build("tiny_vit", seed=0).eval()
    before = model.encode(images(model, 1)).image_embeddings

    generator = torch.Generator().manual_seed(0)
    with drop_path(model.image_encoder, rate=0.9, generator=generator):
        inside = model.encode(images(model, 1)).image_embeddings
    after = model.encode(images(model, 1)).image_embeddings

    assert not torch.equal(before, inside)
    assert torch.equal(before, after)


@torch.no_grad()
def test_images_of_a_batch_are_dropped_apart_though_windows_hide_them() -> None:
    model = build("tiny_vit", seed=0).eval()
    batch = images(model, 1).repeat(6, 1, 1, 1)

    generator = torch.Generator().manual_seed(3)
    with drop_path(model.image_encoder, rate=0.5, generator=generator):
        outputs = model.encode(batch).image_embeddings

    kinds = {round(float(output.abs().sum()), 2) for output in outputs}
    assert 1 < len(kinds) <= 4  # two branches of the second block, each on or off
