"""A top-down pyramid over the maps of a CNN, and the residual CNN of the first starters.

No parameter depends on the image size, so one checkpoint serves any size divisible by 32.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

from sam.modeling.config import ConfigError
from sam.modeling.encoders.registry import EncoderConfig, EncoderSpec, ModelSizes
from sam.modeling.features import ImageFeatures
from sam.modeling.layers import LayerNorm2d

BATCH_NORM_MOMENTUM = 0.03
"""Small batches of very different images: average over more of them than torch's 0.1."""


@dataclass(frozen=True, kw_only=True)
class NeckConfig(EncoderConfig):
    """A top-down pyramid over maps at strides 4, 8, 16 and 32.

    neck_widths: channels at each stride. attention_blocks: self-attention blocks at stride 32.
    """

    neck_widths: tuple[int, int, int, int] = (48, 64, 128, 128)
    attention_blocks: int = 3
    attention_heads: int = 8
    embed_channels: int = 128
    high_res_channels: int = 32


@dataclass(frozen=True, kw_only=True)
class PyramidConfig(NeckConfig):
    """A residual CNN under the pyramid, trained from scratch: the encoder of the first starters.

    widths, depths: channels and residual blocks at strides 4, 8, 16 and 32.
    """

    widths: tuple[int, int, int, int] = (48, 96, 192, 256)
    depths: tuple[int, int, int, int] = (1, 2, 4, 2)


class ConvNorm(nn.Sequential):
    """Convolve, batch-normalise and, unless told not to, rectify."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        kernel: int = 3,
        stride: int = 1,
        act: bool = True,
    ) -> None:
        conv = nn.Conv2d(
            in_channels, out_channels, kernel, stride=stride, padding=kernel // 2, bias=False
        )
        layers: list[nn.Module] = [conv, nn.BatchNorm2d(out_channels, momentum=BATCH_NORM_MOMENTUM)]
        if act:
            layers.append(nn.ReLU(inplace=True))
        super().__init__(*layers)


class ResidualBlock(nn.Module):
    """Add two 3x3 convolutions to their input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = ConvNorm(channels, channels)
        self.conv2 = ConvNorm(channels, channels, act=False)
        last_scale = self.conv2.get_parameter("1.weight")
        nn.init.zeros_(last_scale)  # starts as the identity: deeper trains as fast

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        return F.relu(x + self.conv2(self.conv1(x)))


class GlobalBlock(nn.Module):
    """Let every position of the coarsest map see every other (pre-norm attention and MLP).

    Positions come from a depthwise convolution, so nothing is bound to one image size.
    """

    def __init__(self, channels: int, *, num_heads: int = 8, mlp_ratio: int = 2) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.position = nn.Conv2d(channels, channels, 3, padding=1, groups=channels)
        self.norm1 = nn.LayerNorm(channels)
        self.qkv = nn.Linear(channels, 3 * channels)
        self.out = nn.Linear(channels, channels)
        self.norm2 = nn.LayerNorm(channels)
        self.mlp = nn.Sequential(
            nn.Linear(channels, mlp_ratio * channels),
            nn.GELU(),
            nn.Linear(mlp_ratio * channels, channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        b, c, h, w = x.shape
        x = x + self.position(x)
        tokens = x.flatten(2).transpose(1, 2)
        qkv = self.qkv(self.norm1(tokens)).reshape(b, h * w, 3, self.num_heads, c // self.num_heads)
        query, key, value = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        attended = F.scaled_dot_product_attention(query, key, value)
        tokens = tokens + self.out(attended.transpose(1, 2).reshape(b, h * w, c))
        tokens = tokens + self.mlp(self.norm2(tokens))
        out: Tensor = tokens.transpose(1, 2).reshape(b, c, h, w)
        return out


class Pyramid(nn.Module):
    """Merge maps at strides 4 to 32 into a stride-16 embedding and a stride-4 map.

    Encoders derive from it, give the maps, and end their own __init__ with `add_neck`.
    """

    def add_neck(self, config: NeckConfig, *, widths: Sequence[int]) -> None:
        """Add the pyramid; widths: channels of the four maps that `merge` will get."""
        necks = config.neck_widths
        self.global_blocks = nn.Sequential(
            *(
                GlobalBlock(widths[-1], num_heads=config.attention_heads)
                for _ in range(config.attention_blocks)
            )
        )
        self.laterals = nn.ModuleList(
            nn.Conv2d(width, neck, 1) for width, neck in zip(widths, necks, strict=True)
        )
        self.downs = nn.ModuleList(nn.Conv2d(necks[i + 1], necks[i], 1) for i in range(3))
        self.smooths = nn.ModuleList(ConvNorm(neck, neck) for neck in necks[:-1])
        self.embedding_out = nn.Conv2d(necks[2], config.embed_channels, 3, padding=1)
        self.embedding_norm = LayerNorm2d(config.embed_channels)
        self.high_res_out = nn.Conv2d(necks[0], config.high_res_channels, 3, padding=1)

    def merge(self, levels: Sequence[Tensor]) -> ImageFeatures:
        """Merge the four maps, finest first."""
        merged = self.laterals[3](self.global_blocks(levels[3]))
        pyramid: list[Tensor] = []
        for index in (2, 1, 0):
            above = F.interpolate(self.downs[index](merged), scale_factor=2.0, mode="nearest")
            merged = self.smooths[index](self.laterals[index](levels[index]) + above)
            pyramid.append(merged)
        return ImageFeatures(
            image_embeddings=self.embedding_norm(self.embedding_out(pyramid[0])),
            high_res_features=self.high_res_out(pyramid[2]),
        )


class PyramidEncoder(Pyramid):
    """A residual CNN under the pyramid."""

    def __init__(self, config: PyramidConfig) -> None:
        super().__init__()
        widths = config.widths
        self.stem = nn.Sequential(
            ConvNorm(3, widths[0] * 2 // 3, stride=2),
            ConvNorm(widths[0] * 2 // 3, widths[0], stride=2),
        )
        stages: list[nn.Module] = []
        for index, (width, depth) in enumerate(zip(widths, config.depths, strict=True)):
            entry = [] if index == 0 else [ConvNorm(widths[index - 1], width, stride=2)]
            stages.append(nn.Sequential(*entry, *(ResidualBlock(width) for _ in range(depth))))
        self.stages = nn.ModuleList(stages)
        self.add_neck(config, widths=widths)

    def forward(self, images_b3ss: Tensor) -> ImageFeatures:
        """Encode normalised, padded images (B, 3, S, S), S divisible by 32."""
        x = self.stem(images_b3ss)
        levels: list[Tensor] = []
        for stage in self.stages:
            x = stage(x)
            levels.append(x)
        return self.merge(levels)


def check_outputs(config: NeckConfig, model: ModelSizes) -> None:
    """Raise ConfigError unless the pyramid makes the channels that the model reads."""
    outputs = (config.embed_channels, config.high_res_channels)
    if outputs != (model.embed_channels, model.high_res_channels):
        raise ConfigError("the pyramid's output channels differ from the model's")


def _build(config: PyramidConfig, model: ModelSizes) -> PyramidEncoder:
    return PyramidEncoder(config)


SPEC = EncoderSpec(
    config_class=PyramidConfig,
    build=_build,
    check=check_outputs,
    size_step_px=32,
    has_fixed_size=False,
    prefers_onnxruntime=True,
)
