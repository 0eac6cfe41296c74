"""The whole model: encode an image once, decode many prompts against it.

`predictor` and `automatic` build on it; training drives it directly.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from sam.coordinates import Frame
from sam.modeling.attention import ImageTokens
from sam.modeling.click_maps import ClickMaps
from sam.modeling.config import SamConfig
from sam.modeling.encoders.registry import ENCODERS
from sam.modeling.features import ImageFeatures
from sam.modeling.layers import is_cpu_inference
from sam.modeling.mask_decoder import MaskDecoder
from sam.modeling.presets import PRESETS
from sam.modeling.prompt_encoder import PromptEncoder
from sam.modeling.prompt_maps import prompt_maps
from sam.modeling.prompt_rules import PromptRules
from sam.prompts import Decoded, PromptError, Prompts
from sam.tracing import is_tracing

__all__ = ["Decoded", "ImageError", "PromptError", "Prompts", "Sam", "build"]

_WHITE_QUANTILE = 0.998
_CHUNK_BYTES = 1 << 24
"""Largest array of what a CPU decodes at once: two official prompts, or eight of the starter's."""
_MIN_TO_SHARE = 3
"""From this many prompt sets on, projecting the image for all of them costs less than for each."""


Engine = Callable[[Tensor], ImageFeatures]
"""Encodes (B, 3, S, S) preprocessed images outside torch."""


class ImageError(ValueError):
    """An array that is not an RGB image."""


class Sam(nn.Module):
    """Segment anything: image encoder, prompt encoder, mask decoder.

    The state_dict of the vit_* presets has exactly the official keys and shapes.
    """

    pixel_mean: Tensor
    pixel_std: Tensor

    def __init__(self, config: SamConfig) -> None:
        super().__init__()
        self.config = config
        encoder = ENCODERS.spec_of(config.encoder)
        self.image_encoder = encoder.build(config.encoder, config)
        self.prompt_encoder = PromptEncoder(config)
        self.click_maps: ClickMaps | None = None
        if "candidates" in config.decoder.prompt_maps:
            self.click_maps = ClickMaps(
                embed_channels=config.embed_channels,
                high_res_channels=config.high_res_channels,
                image_size_px=config.image_size_px,
            )
        self.mask_decoder = MaskDecoder(config)
        self.inference_dtype: torch.dtype | None = None
        self._engine: Engine | None = None
        self.restore_buffers()

    def restore_buffers(self) -> None:
        """Set the constants that no checkpoint stores."""
        mean = torch.tensor(self.config.pixel_mean).reshape(3, 1, 1)
        std = torch.tensor(self.config.pixel_std).reshape(3, 1, 1)
        self.register_buffer("pixel_mean", mean, persistent=False)
        self.register_buffer("pixel_std", std, persistent=False)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.pixel_mean.device

    def preprocess(self, image_hwc_u8: NDArray[np.uint8]) -> Tensor:
        """Resize, normalise and pad an RGB image to (1, 3, S, S) on the model's device."""
        check_image(image_hwc_u8)
        size = self.config.image_size_px
        height, width = Frame(image_hw_of(image_hwc_u8), size).input_hw
        image_rgb = Image.fromarray(image_hwc_u8)
        if image_rgb.size != (width, height):
            image_rgb = image_rgb.resize((width, height), Image.Resampling.BILINEAR)
        pixels = torch.from_numpy(np.array(image_rgb)).to(self.device).permute(2, 0, 1).float()
        return self.normalise_and_pad(pixels)

    def normalise_and_pad(self, pixels_3hw: Tensor) -> Tensor:
        """Turn (3, h, w) or (B, 3, h, w) values in 0..255, already resized, into encoder input."""
        size = self.config.image_size_px
        pixels = pixels_3hw.reshape(-1, *pixels_3hw.shape[-3:])
        if self.config.max_exposure_gain > 1:
            pixels = exposed(pixels, max_gain=self.config.max_exposure_gain)
        normal = (pixels - self.pixel_mean) / self.pixel_std
        height, width = normal.shape[-2:]
        return F.pad(normal, (0, size - width, 0, size - height))

    def use_engine(self, engine: Engine | None) -> None:
        """Let `encode` run elsewhere (see `onnx_encoder`), or in torch again."""
        self._engine = engine

    def accelerate(self, *, dtype: torch.dtype | None = None, compiled: bool = False) -> None:
        """Choose how inference runs; answers change by rounding only.

        dtype: bfloat16 or float16 for the matrix products; features and logits stay float32. Worth
        it on GPUs; CPUs without bfloat16 instructions are many times slower. compiled: let
        torch.compile fuse the encoder, for long runs on a GPU; the first image takes a minute.
        """
        if dtype not in (None, torch.float32, torch.bfloat16, torch.float16):
            raise ValueError(f"inference runs in float32, bfloat16 or float16, not {dtype}")
        self.inference_dtype = None if dtype is torch.float32 else dtype
        if compiled:
            self.image_encoder.compile()

    def encode(self, images_b3ss: Tensor) -> ImageFeatures:
        """Encode preprocessed images; this is the expensive step."""
        size = self.config.image_size_px
        if images_b3ss.ndim != 4 or tuple(images_b3ss.shape[1:]) != (3, size, size):
            raise ImageError(
                f"encode takes (B, 3, {size}, {size}) but got {tuple(images_b3ss.shape)}"
            )
        if self._engine is not None:
            if torch.is_grad_enabled() and self.training:
                raise RuntimeError("an encoder that runs in an engine cannot be trained")
            return self._engine(images_b3ss)
        with self._autocast():
            features: ImageFeatures = self.image_encoder(images_b3ss)
        return features if self.inference_dtype is None else features.to(dtype=torch.float32)

    def _autocast(self) -> AbstractContextManager[object]:
        if self.inference_dtype is None:  # a trainer's own autocast goes on
            return nullcontext()
        return torch.autocast(self.device.type, dtype=self.inference_dtype)

    def decode(
        self,
        features: ImageFeatures,
        prompts: Prompts,
        *,
        min_iou: float | None = None,
        is_learning: bool = False,
    ) -> Decoded:
        """Decode N prompt sets against the features of one image, or of N: an image for each set.

        min_iou: leave out prompt sets none of whose three ambiguity masks is predicted above it;
        `Decoded.rows` names the ones that are left. Cheaper than to filter afterwards.
        is_learning: leave out the rules that would hinder it (`sam.prompt_rules`).
        """
        num = len(prompts)
        self._check_features(features, num_prompts=num)
        embeddings = features.image_embeddings
        is_one_image = len(embeddings) == 1
        step = self._prompts_per_chunk() if is_cpu_inference(embeddings) else max(num, 1)
        image_pe = self.prompt_encoder.dense_pe(*embeddings.shape[-2:])
        shared = None
        if is_one_image and num >= _MIN_TO_SHARE and prompts.low_res_logits is None:
            image = embeddings + self.prompt_encoder.no_mask()
            shared = self.mask_decoder.prepare_image(image, image_pe, is_shared=True)
        if num <= step:
            return self._decode(features, prompts, image_pe, shared, min_iou, is_learning)
        starts = range(0, num, step)
        parts: list[Decoded] = []
        for start in starts:
            rows = slice(start, start + step)
            image_features = features if is_one_image else features.images(rows)
            part = prompts.rows(rows)
            parts.append(self._decode(image_features, part, image_pe, shared, min_iou, is_learning))
        return Decoded.concat(parts, starts)

    def _decode(
        self,
        features: ImageFeatures,
        prompts: Prompts,
        image_pe: Tensor,
        shared: ImageTokens | None,
        min_iou: float | None,
        is_learning: bool,
    ) -> Decoded:
        config = self.config
        with self._autocast():
            num_points = prompts.point_coords.shape[1]
            prompts = prompts.with_a_point()
            tokens, dense = self.prompt_encoder(prompts, features)
            tokens = tokens[:, :num_points]
            side = shared or self.mask_decoder.prepare_image(
                features.image_embeddings + dense, image_pe, is_shared=False
            )
            maps = None
            if config.decoder.prompt_maps:
                maps = prompt_maps(
                    config.decoder.prompt_maps,
                    prompts,
                    features,
                    image_size_px=config.image_size_px,
                    sigma_px=config.decoder.nearness_sigma_px,
                    click_maps=self.click_maps,
                )
            rules = None
            if "box" in config.decoder.prompt_maps and (
                is_tracing() or not prompts.are_foreground_clicks()
            ):
                rules = PromptRules.of(
                    prompts,
                    size=config.low_res_size,
                    image_size_px=config.image_size_px,
                    is_learning=is_learning,
                )
            decoded: Decoded = self.mask_decoder(
                side,
                image_pe,
                tokens,
                image_hw=features.image_embeddings.shape[-2:],
                high_res=features.high_res_features,
                maps=maps,
                rules=rules,
                min_iou=min_iou,
            )
        return decoded if self.inference_dtype is None else decoded.float()

    def _prompts_per_chunk(self) -> int:
        channels = self.config.decoder.upscale_channels[-1]
        return max(1, _CHUNK_BYTES // (4 * channels * self.config.low_res_size**2))

    def _check_features(self, features: ImageFeatures, *, num_prompts: int) -> None:
        config, size = self.config, self.config.embedding_size
        expected = (config.embed_channels, size, size)
        num_images, *got = features.image_embeddings.shape
        if tuple(got) != expected or num_images not in (1, num_prompts):
            raise ImageError(
                f"decode takes the features of one image {(1, *expected)} or of one for each of "
                f"the {num_prompts} prompt sets, got {(num_images, *got)}"
            )
        high = features.high_res_features
        if (high is not None) != (config.high_res_channels > 0):
            raise ImageError("the features belong to another kind of model")


def build(preset: str, *, seed: int | None = None) -> Sam:
    """Build a preset with random weights; a seed makes them repeatable.

    Raises ValueError for an unknown name.
    """
    if preset not in PRESETS:
        raise ValueError(f"unknown model {preset!r}; known: {', '.join(PRESETS)}")
    if seed is None:
        return Sam(PRESETS[preset])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Sam(PRESETS[preset])


def exposed(pixels_b3hw: Tensor, *, max_gain: float) -> Tensor:
    """Brighten each image until its brightest pixels are white, at most max_gain times.

    Microscopes and night images use a fraction of the range; an encoder that saw well-lit
    images hardly sees them.
    """
    brightest = pixels_b3hw.amax(1).flatten(1)
    rank = max(1, int(_WHITE_QUANTILE * brightest.shape[1]))
    white = brightest.kthvalue(rank, dim=1).values.clamp(min=1.0)
    gain = (255.0 / white).clamp(1.0, max_gain)
    return (pixels_b3hw * gain[:, None, None, None]).clamp(max=255.0)


def image_hw_of(image_hwc_u8: NDArray[np.uint8]) -> tuple[int, int]:
    """Return (height, width) in pixels."""
    return int(image_hwc_u8.shape[0]), int(image_hwc_u8.shape[1])


def check_image(image_hwc_u8: NDArray[Any]) -> None:
    """Raise ImageError unless the array is a (H, W, 3) uint8 image with pixels."""
    if not isinstance(image_hwc_u8, np.ndarray):
        raise ImageError("an image is a numpy array (height, width, 3)")
    if image_hwc_u8.ndim != 3 or image_hwc_u8.shape[2] != 3:
        raise ImageError(f"an image has shape (height, width, 3), got {image_hwc_u8.shape}")
    if image_hwc_u8.dtype != np.uint8:
        raise ImageError(f"an image holds uint8 values, got {image_hwc_u8.dtype}")
    if 0 in image_hwc_u8.shape:
        raise ImageError("the image has no pixels")
