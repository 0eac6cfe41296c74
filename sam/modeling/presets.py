"""Shapes and sizes of every model the library can build by name, as data.

Official sizes: segment-anything repository, build_sam.py; the engine model: paper section B.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from sam.modeling.config import PROMPT_MAPS, DecoderConfig, SamConfig
from sam.modeling.encoders.efficientnet import EfficientNetConfig
from sam.modeling.encoders.pyramid import PyramidConfig
from sam.modeling.encoders.vit import VitConfig

EFFICIENTNET_MEAN = (127.0, 127.0, 127.0)
EFFICIENTNET_STD = (128.0, 128.0, 128.0)


def _official(arch: str, encoder: VitConfig, **decoder: Any) -> SamConfig:
    return SamConfig(arch=arch, encoder=encoder, decoder=DecoderConfig(**decoder))


_VIT_B = VitConfig(embed_dim=768, depth=12, num_heads=12, global_blocks=(2, 5, 8, 11))
_VIT_L = VitConfig(embed_dim=1024, depth=24, num_heads=16, global_blocks=(5, 11, 17, 23))
_VIT_H = VitConfig(embed_dim=1280, depth=32, num_heads=16, global_blocks=(7, 15, 23, 31))
_TINY_DECODER = DecoderConfig(
    num_heads=2, mlp_dim=32, iou_hidden_dim=32, mask_channels=4, upscale_channels=(16, 8)
)

OFFICIAL_ENCODERS: dict[str, VitConfig] = {"vit_b": _VIT_B, "vit_l": _VIT_L, "vit_h": _VIT_H}
"""The encoders of the official checkpoints, by the name of the model."""

PRESETS: dict[str, SamConfig] = {
    **{arch: _official(arch, encoder) for arch, encoder in OFFICIAL_ENCODERS.items()},
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
