"""The other peer: SAM in the `transformers` package, on the weights of one of our models."""

from __future__ import annotations

import re
from typing import Any

import torch
import transformers

from sam.modeling.encoders.vit import VitConfig
from sam.modeling.model import Sam
from tests.peers import weights


def transformers_model(ours: Sam) -> Any:
    """Build a SamModel of the same sizes on our model's own tensors."""
    config, decoder = ours.config, ours.config.decoder
    encoder = config.encoder
    assert isinstance(encoder, VitConfig)
    theirs = transformers.SamConfig(
        vision_config={
            "hidden_size": encoder.embed_dim,
            "output_channels": config.embed_channels,
            "num_hidden_layers": encoder.depth,
            "num_attention_heads": encoder.num_heads,
            "image_size": config.image_size_px,
            "patch_size": encoder.patch_size_px,
            "window_size": encoder.window_size,
            "global_attn_indexes": list(encoder.global_blocks),
            "num_pos_feats": config.embed_channels // 2,
            "mlp_dim": int(encoder.mlp_ratio * encoder.embed_dim),
        },
        prompt_encoder_config={
            "hidden_size": config.embed_channels,
            "image_size": config.image_size_px,
            "patch_size": encoder.patch_size_px,
            "mask_input_channels": decoder.mask_channels,
        },
        mask_decoder_config={
            "hidden_size": config.embed_channels,
            "mlp_dim": decoder.mlp_dim,
            "num_hidden_layers": decoder.num_layers,
            "num_attention_heads": decoder.num_heads,
            "iou_head_hidden_dim": decoder.iou_hidden_dim,
            "layer_norm_eps": 1e-5,  # of the transformer; the library's own default differs
        },
    )
    with torch.device("meta"):
        model = transformers.SamModel(theirs)
    tensors = {_their_name(name): tensor for name, tensor in ours.state_dict().items()}
    matrix = tensors["shared_image_embedding.positional_embedding"]
    tensors["prompt_encoder.shared_embedding.positional_embedding"] = matrix
    weights.give(model, tensors)
    return model


_RENAMED = [
    (
        r"^prompt_encoder\.pe_layer\.positional_encoding_gaussian_matrix",
        "shared_image_embedding.positional_embedding",
    ),
    (r"^image_encoder\.blocks", "vision_encoder.layers"),
    (r"^image_encoder\.patch_embed\.proj", "vision_encoder.patch_embed.projection"),
    (r"^image_encoder\.neck\.0", "vision_encoder.neck.conv1"),
    (r"^image_encoder\.neck\.1", "vision_encoder.neck.layer_norm1"),
    (r"^image_encoder\.neck\.2", "vision_encoder.neck.conv2"),
    (r"^image_encoder\.neck\.3", "vision_encoder.neck.layer_norm2"),
    (r"^image_encoder", "vision_encoder"),
    (r"point_embeddings", "point_embed"),
    (r"mask_downscaling\.0", "mask_embed.conv1"),
    (r"mask_downscaling\.1", "mask_embed.layer_norm1"),
    (r"mask_downscaling\.3", "mask_embed.conv2"),
    (r"mask_downscaling\.4", "mask_embed.layer_norm2"),
    (r"mask_downscaling\.6", "mask_embed.conv3"),
    (r"output_upscaling\.0", "upscale_conv1"),
    (r"output_upscaling\.1", "upscale_layer_norm"),
    (r"output_upscaling\.3", "upscale_conv2"),
    (r"norm_final_attn", "layer_norm_final_attn"),
    (r"\.norm(\d)", r".layer_norm\1"),
    (r"(mlps\.\d|head)\.layers\.0", r"\1.proj_in"),
    (r"(mlps\.\d|head)\.layers\.2", r"\1.proj_out"),
    (r"(mlps\.\d|head)\.layers\.1", r"\1.layers.0"),
]


def _their_name(name: str) -> str:
    for pattern, replacement in _RENAMED:
        name = re.sub(pattern, replacement, name)
    return name
