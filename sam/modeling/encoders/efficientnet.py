"""EfficientNet-Lite (Tan & Le 2019; the Lite variants of 2020): a trunk that has seen ImageNet.

Without its classifier. Batch norms are folded into the convolutions before them
(`folded_state`), so the net serves, is fine-tuned and is exported as plain convolutions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sam.modeling.config import ConfigError
from sam.modeling.encoders.pyramid import NeckConfig, Pyramid, check_outputs
from sam.modeling.encoders.registry import EncoderSpec, ModelSizes
from sam.modeling.features import ImageFeatures

KERNELS = (3, 3, 5, 3, 5, 5, 3)
STRIDES = (1, 2, 2, 2, 1, 2, 1)
EXPANSIONS = (1, 6, 6, 6, 6, 6, 6)
"""Kernel, stride and channel expansion of the first block of each stage, the same in all sizes."""
LEVEL_STAGES = (1, 2, 4, 6)
"""The last stages at strides 4, 8, 16 and 32."""
_NORM_EPSILON = 1e-3
_STEM_STRIDE = 2


@dataclass(frozen=True, kw_only=True)
class EfficientNetConfig(NeckConfig):
    """An EfficientNet-Lite under the pyramid; the defaults are Lite2.

    widths, repeats: channels and blocks of the seven stages. coarse_channels: what stride 32 is
    narrowed to before the attention blocks.
    """

    stem_channels: int = 32
    widths: tuple[int, ...] = (16, 24, 48, 88, 120, 208, 352)
    repeats: tuple[int, ...] = (1, 3, 3, 4, 4, 5, 1)
    coarse_channels: int = 256


class SameConv(nn.Conv2d):
    """A convolution padded as TensorFlow pads: where the padding is odd, right and bottom more."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, D, H / stride, W / stride)."""
        left = [max(0, k - s) // 2 for k, s in zip(self.kernel_size, self.stride, strict=True)]
        right = [
            max(0, k - s) - p for k, s, p in zip(self.kernel_size, self.stride, left, strict=True)
        ]
        if left == right:
            return F.conv2d(x, self.weight, self.bias, self.stride, tuple(left), 1, self.groups)
        padded = F.pad(x, (left[1], right[1], left[0], right[0]))
        return F.conv2d(padded, self.weight, self.bias, self.stride, 0, 1, self.groups)


class InvertedResidual(nn.Module):
    """Widen, convolve each channel by itself, narrow; added to the input where shapes agree."""

    def __init__(
        self, in_channels: int, out_channels: int, *, kernel: int, stride: int, expansion: int
    ) -> None:
        super().__init__()
        wide = in_channels * expansion
        self.expand = nn.Conv2d(in_channels, wide, 1) if expansion != 1 else None
        self.depthwise = SameConv(wide, wide, kernel, stride=stride, groups=wide)
        self.project = nn.Conv2d(wide, out_channels, 1)
        self.is_residual = stride == 1 and in_channels == out_channels

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, D, H / stride, W / stride)."""
        y = x if self.expand is None else F.relu6(self.expand(x))
        y = cast(Tensor, self.project(F.relu6(self.depthwise(y))))
        return x + y if self.is_residual else y


class EfficientNetTrunk(nn.Module):
    """Map images to features at strides 4, 8, 16 and 32."""

    def __init__(self, config: EfficientNetConfig) -> None:
        super().__init__()
        self.stem = SameConv(3, config.stem_channels, 3, stride=_STEM_STRIDE)
        blocks: list[nn.Module] = []
        self.level_blocks: list[int] = []
        channels = config.stem_channels
        for stage, (width, repeats) in enumerate(zip(config.widths, config.repeats, strict=True)):
            for repeat in range(repeats):
                blocks.append(
                    InvertedResidual(
                        channels,
                        width,
                        kernel=KERNELS[stage],
                        stride=STRIDES[stage] if repeat == 0 else 1,
                        expansion=EXPANSIONS[stage],
                    )
                )
                channels = width
            if stage in LEVEL_STAGES:
                self.level_blocks.append(len(blocks) - 1)
        self.blocks = nn.ModuleList(blocks)

    def forward(self, images_b3ss: Tensor) -> list[Tensor]:
        """Return the four maps, finest first."""
        x = F.relu6(self.stem(images_b3ss))
        levels: list[Tensor] = []
        for index, block in enumerate(self.blocks):
            x = block(x)
            if index in self.level_blocks:
                levels.append(x)
        return levels


def folded_state(published: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the trunk's state from a published EfficientNet-Lite state_dict, norms folded in.

    published: names as in the PyTorch packages of these weights (`_conv_stem`, `_blocks.3._bn1`).
    The classifier is left out. Raises KeyError when a tensor is missing.
    """
    state = {f"stem.{k}": v for k, v in _folded(published, "_conv_stem", "_bn0").items()}
    num_blocks = 1 + max(
        int(name.split(".")[1]) for name in published if name.startswith("_blocks.")
    )
    for index in range(num_blocks):
        there = f"_blocks.{index}."
        for ours, conv, norm in (
            ("expand", "_expand_conv", "_bn0"),
            ("depthwise", "_depthwise_conv", "_bn1"),
            ("project", "_project_conv", "_bn2"),
        ):
            if ours == "expand" and f"{there}{conv}.weight" not in published:
                continue  # the first block does not widen
            folded = _folded(published, there + conv, there + norm)
            state |= {f"blocks.{index}.{ours}.{k}": v for k, v in folded.items()}
    return state


def _folded(published: Mapping[str, Tensor], conv: str, norm: str) -> dict[str, Tensor]:
    weight, scale = published[f"{conv}.weight"].double(), published[f"{norm}.weight"].double()
    mean, variance = (published[f"{norm}.running_{name}"].double() for name in ("mean", "var"))
    gain = scale / (variance + _NORM_EPSILON).sqrt()
    bias = published[f"{norm}.bias"].double() - mean * gain
    return {"weight": (weight * gain[:, None, None, None]).float(), "bias": bias.float()}


@torch.no_grad()
def load_published(trunk: EfficientNetTrunk, published: Mapping[str, Tensor]) -> None:
    """Give a trunk published weights. Raises ValueError when they are of another size."""
    try:
        trunk.load_state_dict(folded_state(published))
    except (KeyError, RuntimeError) as error:
        detail = str(error).splitlines()[0]
        raise ValueError(f"these are not weights of this EfficientNet-Lite: {detail}") from None


def level_widths(config: EfficientNetConfig) -> tuple[int, int, int, int]:
    """Return the channels of the four maps."""
    widths = tuple(config.widths[stage] for stage in LEVEL_STAGES)
    return cast(tuple[int, int, int, int], widths)


class EfficientNetEncoder(Pyramid):
    """An EfficientNet-Lite under the pyramid."""

    def __init__(self, config: EfficientNetConfig) -> None:
        super().__init__()
        *fine, coarse = level_widths(config)
        self.trunk = EfficientNetTrunk(config)
        self.narrow = nn.Conv2d(coarse, config.coarse_channels, 1)
        self.add_neck(config, widths=(*fine, config.coarse_channels))

    def forward(self, images_b3ss: Tensor) -> ImageFeatures:
        """Encode normalised, padded images (B, 3, S, S), S divisible by 32."""
        *fine, coarse = self.trunk(images_b3ss)
        return self.merge([*fine, self.narrow(coarse)])


def _build(config: EfficientNetConfig, model: ModelSizes) -> EfficientNetEncoder:
    return EfficientNetEncoder(config)


def _check(config: EfficientNetConfig, model: ModelSizes) -> None:
    check_outputs(config, model)
    stages = (len(config.widths), len(config.repeats))
    if stages != (7, 7) or min(config.repeats) < 1:
        raise ConfigError("an EfficientNet has seven stages of one block or more")


SPEC = EncoderSpec(
    config_class=EfficientNetConfig,
    build=_build,
    check=_check,
    size_step_px=32,
    has_fixed_size=False,
    prefers_onnxruntime=True,
)
