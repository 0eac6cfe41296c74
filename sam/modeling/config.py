"""Shapes and sizes of every model the library can build, as data.

Official sizes: segment-anything repository, build_sam.py; the engine model: paper section B.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

PROMPT_MAPS = ("nearness", "box", "similarity", "candidates", "oval", "mask")
IMAGENET_MEAN = (123.675, 116.28, 103.53)
IMAGENET_STD = (58.395, 57.12, 57.375)
EFFICIENTNET_MEAN = (127.0, 127.0, 127.0)
EFFICIENTNET_STD = (128.0, 128.0, 128.0)
_STRIDE_PX = 16


class ConfigError(ValueError):
    """A model configuration that cannot be built."""


@dataclass(frozen=True, kw_only=True)
class VitConfig:
    """The official image encoder: a plain ViT with windowed attention."""

    embed_dim: int
    depth: int
    num_heads: int
    global_blocks: tuple[int, ...]
    patch_size_px: int = 16
    window_size: int = 14
    mlp_ratio: float = 4.0


@dataclass(frozen=True, kw_only=True)
class NeckConfig:
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


EncoderConfig = VitConfig | PyramidConfig | EfficientNetConfig
ENCODER_KINDS: dict[str, type[EncoderConfig]] = {
    "vit": VitConfig,
    "pyramid": PyramidConfig,
    "efficientnet": EfficientNetConfig,
}


@dataclass(frozen=True, kw_only=True)
class DecoderConfig:
    """Prompt encoder and mask decoder; the last five fields are off in the official models.

    upscale_channels: channels at stride 8 and at stride 4 (where masks are read out).
    token_features: add encoder features sampled at the prompt to its token.
    prompt_maps: which dense per-prompt maps join the stride-4 mix, from PROMPT_MAPS; with "box",
    boxes also bound the masks, and answer for objects too small to see (`sam.box_rules`).
    mask_aware_iou: predict a mask's IoU from the mask itself too, not from a token alone.
    """

    num_layers: int = 2
    num_heads: int = 8
    mlp_dim: int = 2048
    attention_downsample: int = 2
    iou_hidden_dim: int = 256
    mask_channels: int = 16
    upscale_channels: tuple[int, int] = (64, 32)
    token_features: bool = False
    prompt_maps: tuple[str, ...] = ()
    nearness_sigma_px: float = 8.0
    mask_aware_iou: bool = False


@dataclass(frozen=True, kw_only=True)
class SamConfig:
    """A whole model.

    position_reference_px: side of the frame in which positions are measured; 0 means the image
    size. A fixed value keeps positions the same when the model serves at another image size.
    max_exposure_gain: how many times brighter an image is made at most, so that its brightest
    pixels are white (`Sam.normalise_and_pad`); 1 leaves images as they are.
    pixel_mean, pixel_std: of red, green and blue in 0..255; the encoder sees (x - mean) / std.
    """

    arch: str
    image_size_px: int = 1024
    embedding_stride_px: int = _STRIDE_PX
    low_res_stride_px: int = 4
    embed_channels: int = 256
    high_res_channels: int = 0
    position_reference_px: int = 0
    max_exposure_gain: float = 1.0
    pixel_mean: tuple[float, float, float] = IMAGENET_MEAN
    pixel_std: tuple[float, float, float] = IMAGENET_STD
    encoder: EncoderConfig
    decoder: DecoderConfig = field(default_factory=DecoderConfig)

    def __post_init__(self) -> None:
        _check(self)

    @property
    def embedding_size(self) -> int:
        """Side of the embedding in cells."""
        return self.image_size_px // self.embedding_stride_px

    @property
    def low_res_size(self) -> int:
        """Side of the low-resolution masks in cells."""
        return self.image_size_px // self.low_res_stride_px

    @property
    def position_frame_px(self) -> int:
        """Side of the frame in which positions are measured."""
        return self.position_reference_px or self.image_size_px

    def at_image_size(self, image_size_px: int) -> SamConfig:
        """Return the same model serving at another image size (pyramid encoders only)."""
        if isinstance(self.encoder, VitConfig) and image_size_px != self.image_size_px:
            raise ConfigError(f"{self.arch} has position tables for {self.image_size_px} px only")
        return replace(
            self, image_size_px=image_size_px, position_reference_px=self.position_frame_px
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON-ready values; from_dict reads them back."""
        values = asdict(self)
        kinds = {kind: name for name, kind in ENCODER_KINDS.items()}
        values["encoder"]["kind"] = kinds[type(self.encoder)]
        return values

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> SamConfig:
        """Read what to_dict wrote. Raises ConfigError."""
        try:
            rest = dict(values)
            encoder = dict(rest.pop("encoder"))
            kind = encoder.pop("kind")
            decoder = DecoderConfig(**_plain(DecoderConfig, rest.pop("decoder")))
            if kind not in ENCODER_KINDS:
                raise ConfigError(f"unknown kind of encoder: {kind!r}")
            shape = ENCODER_KINDS[kind]
            return cls(
                encoder=shape(**_plain(shape, encoder)), decoder=decoder, **_plain(cls, rest)
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise ConfigError(f"the model configuration cannot be read: {error}") from None


def _plain(part: type[Any], values: Mapping[str, Any]) -> dict[str, Any]:
    unknown = set(values) - {item.name for item in fields(part)}
    if unknown:
        raise ConfigError(f"the model configuration has unknown fields: {sorted(unknown)}")
    return {key: tuple(v) if isinstance(v, list) else v for key, v in values.items()}


def _check(config: SamConfig) -> None:
    if config.embedding_stride_px != _STRIDE_PX or config.low_res_stride_px != 4:
        raise ConfigError("models have embedding stride 16 and mask stride 4")
    step_px = 16 if isinstance(config.encoder, VitConfig) else 32
    if config.image_size_px <= 0 or config.image_size_px % step_px:
        raise ConfigError(f"image_size_px must be a multiple of {step_px}")
    _check_encoder(config)
    if not config.max_exposure_gain >= 1:
        raise ConfigError("max_exposure_gain is at least 1")
    if len(config.pixel_mean) != 3 or len(config.pixel_std) != 3 or not min(config.pixel_std) > 0:
        raise ConfigError("pixel_mean and pixel_std are three numbers each, the latter positive")
    unknown = set(config.decoder.prompt_maps) - set(PROMPT_MAPS)
    if unknown:
        raise ConfigError(f"unknown prompt maps: {sorted(unknown)}")
    if config.decoder.prompt_maps and not config.high_res_channels:
        raise ConfigError("prompt maps join the high-resolution mix: high_res_channels is 0")


def _check_encoder(config: SamConfig) -> None:
    encoder = config.encoder
    if isinstance(encoder, VitConfig):
        if config.high_res_channels:
            raise ConfigError("a ViT encoder has no high-resolution features")
        return
    outputs = (encoder.embed_channels, encoder.high_res_channels)
    if outputs != (config.embed_channels, config.high_res_channels):
        raise ConfigError("the pyramid's output channels differ from the model's")
    if isinstance(encoder, EfficientNetConfig):
        stages = (len(encoder.widths), len(encoder.repeats))
        if stages != (7, 7) or min(encoder.repeats) < 1:
            raise ConfigError("an EfficientNet has seven stages of one block or more")


def _official(arch: str, encoder: VitConfig, **decoder: Any) -> SamConfig:
    return SamConfig(arch=arch, encoder=encoder, decoder=DecoderConfig(**decoder))


_VIT_B = VitConfig(embed_dim=768, depth=12, num_heads=12, global_blocks=(2, 5, 8, 11))
_VIT_L = VitConfig(embed_dim=1024, depth=24, num_heads=16, global_blocks=(5, 11, 17, 23))
_VIT_H = VitConfig(embed_dim=1280, depth=32, num_heads=16, global_blocks=(7, 15, 23, 31))
_TINY_DECODER = DecoderConfig(
    num_heads=2, mlp_dim=32, iou_hidden_dim=32, mask_channels=4, upscale_channels=(16, 8)
)

PRESETS: dict[str, SamConfig] = {
    "vit_b": _official("vit_b", _VIT_B),
    "vit_l": _official("vit_l", _VIT_L),
    "vit_h": _official("vit_h", _VIT_H),
    # The data engine's own model has a third decoder layer (paper section B).
    "vit_b_engine": _official("vit_b_engine", _VIT_B, num_layers=3),
    "starter": SamConfig(
        arch="starter",
        image_size_px=512,
        embed_channels=128,
        high_res_channels=32,
        position_reference_px=1024,
        max_exposure_gain=8.0,
        pixel_mean=EFFICIENTNET_MEAN,
        pixel_std=EFFICIENTNET_STD,
        encoder=EfficientNetConfig(),
        decoder=DecoderConfig(
            mlp_dim=512,
            token_features=True,
            prompt_maps=("nearness", "box", "candidates", "oval", "mask"),
            mask_aware_iou=True,
        ),
    ),
    # Two models small enough for tests: one like the starter, one in the official layout.
    "tiny": SamConfig(
        arch="tiny",
        image_size_px=128,
        embed_channels=16,
        high_res_channels=8,
        position_reference_px=256,
        max_exposure_gain=8.0,
        encoder=PyramidConfig(
            widths=(8, 8, 16, 16),
            depths=(1, 1, 1, 1),
            neck_widths=(8, 8, 16, 16),
            attention_blocks=1,
            attention_heads=2,
            embed_channels=16,
            high_res_channels=8,
        ),
        decoder=replace(
            _TINY_DECODER, token_features=True, prompt_maps=PROMPT_MAPS, mask_aware_iou=True
        ),
    ),
    "tiny_vit": SamConfig(
        arch="tiny_vit",
        image_size_px=128,
        embed_channels=16,
        encoder=VitConfig(embed_dim=16, depth=2, num_heads=2, global_blocks=(1,), window_size=3),
        decoder=_TINY_DECODER,
    ),
}
