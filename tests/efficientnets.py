"""Small models over an EfficientNet-Lite trunk, and weights under the published names."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from sam.modeling.encoders.efficientnet import EXPANSIONS, KERNELS, EfficientNetConfig
from sam.modeling.model import Sam
from sam.modeling.presets import PRESETS

SMALL = EfficientNetConfig(
    stem_channels=8, widths=(4, 6, 8, 10, 12, 14, 16), repeats=(1, 2, 1, 2, 1, 1, 1)
)


def published_state(config: EfficientNetConfig) -> dict[str, Tensor]:
    """Random tensors under the names of the published PyTorch weights."""
    state: dict[str, Tensor] = {"_fc.weight": torch.zeros(2, 3)}

    def conv_and_norm(conv: str, norm: str, shape: tuple[int, ...]) -> None:
        state[f"{conv}.weight"] = torch.randn(shape) * (shape[1] * shape[2] ** 2) ** -0.5
        state[f"{norm}.weight"] = torch.rand(shape[0]) + 0.5
        state[f"{norm}.bias"] = torch.randn(shape[0]) * 0.3
        state[f"{norm}.running_mean"] = torch.randn(shape[0]) * 0.3
        state[f"{norm}.running_var"] = torch.rand(shape[0]) + 0.1
        state[f"{norm}.num_batches_tracked"] = torch.tensor(7)

    conv_and_norm("_conv_stem", "_bn0", (config.stem_channels, 3, 3, 3))
    channels, index = config.stem_channels, 0
    for stage, width in enumerate(config.widths):
        for _ in range(config.repeats[stage]):
            there, wide = f"_blocks.{index}.", channels * EXPANSIONS[stage]
            kernel = KERNELS[stage]
            if EXPANSIONS[stage] != 1:
                conv_and_norm(f"{there}_expand_conv", f"{there}_bn0", (wide, channels, 1, 1))
            conv_and_norm(f"{there}_depthwise_conv", f"{there}_bn1", (wide, 1, kernel, kernel))
            conv_and_norm(f"{there}_project_conv", f"{there}_bn2", (width, wide, 1, 1))
            channels, index = width, index + 1
    return state


def small_starter() -> Sam:
    encoder = replace(
        SMALL,
        coarse_channels=16,
        neck_widths=(8, 8, 16, 16),
        attention_blocks=1,
        attention_heads=2,
        embed_channels=16,
        high_res_channels=8,
    )
    torch.manual_seed(1)
    return Sam(replace(PRESETS["tiny"], encoder=encoder)).eval()
