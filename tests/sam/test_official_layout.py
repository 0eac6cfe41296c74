from __future__ import annotations

import pytest
import torch

from sam.modeling.model import Sam
from sam.modeling.presets import PRESETS


def blank(preset: str) -> Sam:
    with torch.device("meta"):
        return Sam(PRESETS[preset])


@pytest.mark.parametrize(
    ("preset", "encoder_tensors", "tensors", "encoder_parameters", "parameters"),
    [
        ("vit_b", 177, 314, 89_670_912, 93_735_472),
        ("vit_l", 345, 482, 308_278_272, 312_342_832),
        ("vit_h", 457, 594, 637_026_048, 641_090_608),
    ],
)
def test_official_models_have_the_published_tensor_and_parameter_counts(
    preset: str, encoder_tensors: int, tensors: int, encoder_parameters: int, parameters: int
) -> None:
    model = blank(preset)

    assert len(model.image_encoder.state_dict()) == encoder_tensors
    assert len(model.state_dict()) == tensors
    assert sum(p.numel() for p in model.image_encoder.parameters()) == encoder_parameters
    assert sum(p.numel() for p in model.parameters()) == parameters


def test_prompt_encoder_and_decoder_have_the_published_sizes() -> None:
    model = blank("vit_h")

    assert sum(p.numel() for p in model.prompt_encoder.parameters()) == 6_220
    assert sum(p.numel() for p in model.mask_decoder.parameters()) == 4_058_340


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("image_encoder.pos_embed", (1, 64, 64, 768)),
        ("image_encoder.patch_embed.proj.weight", (768, 3, 16, 16)),
        ("image_encoder.blocks.0.attn.rel_pos_h", (27, 64)),
        ("image_encoder.blocks.2.attn.rel_pos_w", (127, 64)),
        ("image_encoder.blocks.11.mlp.lin2.weight", (768, 3072)),
        ("image_encoder.neck.0.weight", (256, 768, 1, 1)),
        ("image_encoder.neck.3.bias", (256,)),
        ("prompt_encoder.pe_layer.positional_encoding_gaussian_matrix", (2, 128)),
        ("prompt_encoder.point_embeddings.3.weight", (1, 256)),
        ("prompt_encoder.mask_downscaling.3.weight", (16, 4, 2, 2)),
        ("mask_decoder.mask_tokens.weight", (4, 256)),
        (
            "mask_decoder.transformer.layers.1.cross_attn_image_to_token.q_proj.weight",
            (128, 256),
        ),
        ("mask_decoder.transformer.layers.0.norm4.weight", (256,)),
        ("mask_decoder.transformer.norm_final_attn.weight", (256,)),
        ("mask_decoder.output_upscaling.3.weight", (64, 32, 2, 2)),
        ("mask_decoder.output_hypernetworks_mlps.3.layers.2.weight", (32, 256)),
        ("mask_decoder.iou_prediction_head.layers.2.weight", (4, 256)),
    ],
)
def test_official_tensors_have_their_published_names_and_shapes(
    name: str, shape: tuple[int, ...]
) -> None:
    assert tuple(blank("vit_b").state_dict()[name].shape) == shape


def test_the_engine_model_adds_one_decoder_layer_of_1_58_million_parameters() -> None:
    engine = sum(p.numel() for p in blank("vit_b_engine").parameters())

    assert engine - 93_735_472 == pytest.approx(1.58e6, rel=0.01)


def test_constants_are_not_stored() -> None:
    assert not [name for name in blank("vit_b").state_dict() if "pixel_" in name]
