"""The configuration of a whole model, as data that checkpoints store.

The models the library can build by name are in `presets`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from sam.modeling.encoders.registry import ENCODERS, EncoderConfig

PROMPT_MAPS = ("nearness", "box", "similarity", "candidates", "oval", "mask")
IMAGENET_MEAN = (123.675, 116.28, 103.53)
IMAGENET_STD = (58.395, 57.12, 57.375)
_STRIDE_PX = 16


class ConfigError(ValueError):
    """A model configuration that cannot be built."""


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
        """Return the same model serving at another image size, if its encoder can."""
        spec = ENCODERS.spec_of(self.encoder)
        if spec.has_fixed_size and image_size_px != self.image_size_px:
            raise ConfigError(f"{self.arch} has position tables for {self.image_size_px} px only")
        return replace(
            self, image_size_px=image_size_px, position_reference_px=self.position_frame_px
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON-ready values; from_dict reads them back."""
        values = asdict(self)
        values["encoder"]["kind"] = ENCODERS.kind_of(self.encoder)
        return values

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> SamConfig:
        """Read what to_dict wrote. Raises ConfigError."""
        try:
            rest = dict(values)
            encoder = dict(rest.pop("encoder"))
            kind = encoder.pop("kind")
            decoder = DecoderConfig(**_plain(DecoderConfig, rest.pop("decoder")))
            if kind not in ENCODERS:
                raise ConfigError(f"unknown kind of encoder: {kind!r}")
            shape = ENCODERS[kind].config_class
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
    spec = ENCODERS.spec_of(config.encoder)
    if config.image_size_px <= 0 or config.image_size_px % spec.size_step_px:
        raise ConfigError(f"image_size_px must be a multiple of {spec.size_step_px}")
    spec.check(config.encoder, config)
    if not config.max_exposure_gain >= 1:
        raise ConfigError("max_exposure_gain is at least 1")
    if len(config.pixel_mean) != 3 or len(config.pixel_std) != 3 or not min(config.pixel_std) > 0:
        raise ConfigError("pixel_mean and pixel_std are three numbers each, the latter positive")
    unknown = set(config.decoder.prompt_maps) - set(PROMPT_MAPS)
    if unknown:
        raise ConfigError(f"unknown prompt maps: {sorted(unknown)}")
    if config.decoder.prompt_maps and not config.high_res_channels:
        raise ConfigError("prompt maps join the high-resolution mix: high_res_channels is 0")
