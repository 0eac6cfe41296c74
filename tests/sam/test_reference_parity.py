"""The same random weights in ours and in transformers' SamModel must give the same answers."""

from __future__ import annotations

import re

import pytest
import torch
from torch import Tensor

from sam.config import DecoderConfig, SamConfig, VitConfig
from sam.features import ImageFeatures
from sam.model import Prompts, Sam

SIZE = 160  # a 10 x 10 map: windows of 4 need padding, as 64 in windows of 14 does


@pytest.fixture(scope="module")
def ours() -> Sam:
    config = SamConfig(
        arch="parity",
        image_size_px=SIZE,
        embed_channels=32,
        encoder=VitConfig(embed_dim=24, depth=3, num_heads=2, global_blocks=(1,), window_size=4),
        decoder=DecoderConfig(
            num_heads=4, mlp_dim=48, iou_hidden_dim=20, mask_channels=16, upscale_channels=(8, 4)
        ),
    )
    model = Sam(config).eval()
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for name, tensor in model.state_dict().items():  # also what starts at zero
            noise = torch.randn(tensor.shape, generator=generator)
            scale = 1.0 if "gaussian" in name else max(0.3, tensor.shape[-1] ** -0.5)
            tensor.copy_((1.0 if "norm" in name and "weight" in name else 0.0) + scale * noise)
    return model


@pytest.fixture(scope="module")
def reference(ours: Sam) -> torch.nn.Module:
    transformers = pytest.importorskip("transformers")
    config = transformers.SamConfig(
        vision_config={
            "hidden_size": 24,
            "output_channels": 32,
            "num_hidden_layers": 3,
            "num_attention_heads": 2,
            "image_size": SIZE,
            "patch_size": 16,
            "window_size": 4,
            "global_attn_indexes": [1],
            "num_pos_feats": 16,
            "mlp_dim": 96,
        },
        prompt_encoder_config={
            "hidden_size": 32,
            "image_size": SIZE,
            "patch_size": 16,
            "mask_input_channels": 16,
        },
        mask_decoder_config={
            "hidden_size": 32,
            "mlp_dim": 48,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "iou_head_hidden_dim": 20,
            "layer_norm_eps": 1e-5,
        },
    )
    model = transformers.SamModel(config).eval()
    weights = {_their_name(name): tensor for name, tensor in ours.state_dict().items()}
    matrix = weights["shared_image_embedding.positional_embedding"]
    weights["prompt_encoder.shared_embedding.positional_embedding"] = matrix
    model.load_state_dict(weights, strict=True)
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


@pytest.fixture(scope="module")
def image() -> Tensor:
    return torch.randn(1, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(5))


@torch.no_grad()
def test_embeddings_agree(ours: Sam, reference: torch.nn.Module, image: Tensor) -> None:
    expected = reference.get_image_embeddings(image)[0]

    found = ours.encode(image).image_embeddings[0]

    assert expected.std() > 0.1
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)


POINTS = torch.tensor([[[20.0, 30.5], [99.0, 140.0]], [[3.0, 7.0], [80.0, 12.0]]])
LABELS = torch.tensor([[1, 0], [1, 1]])
BOXES = torch.tensor([[10.0, 12.0, 90.0, 140.5], [0.0, 0.0, 30.0, 20.0]])
MASK = 5 * torch.randn(1, 1, SIZE // 4, SIZE // 4, generator=torch.Generator().manual_seed(8))


@pytest.mark.parametrize(
    ("points", "labels", "boxes", "mask"),
    [
        (POINTS[:, :1], LABELS[:, :1], None, None),
        (POINTS, LABELS, None, None),
        (None, None, BOXES, None),
        (POINTS, LABELS, BOXES, None),
        (POINTS[:1], LABELS[:1], None, MASK),
        (POINTS[:1], LABELS[:1], BOXES[:1], MASK),
    ],
    ids=["a point", "points", "box", "points and box", "points on a mask", "all three"],
)
@torch.no_grad()
def test_masks_and_predicted_quality_agree(
    ours: Sam,
    reference: torch.nn.Module,
    image: Tensor,
    points: Tensor | None,
    labels: Tensor | None,
    boxes: Tensor | None,
    mask: Tensor | None,
) -> None:
    embeddings = reference.get_image_embeddings(image)
    given = {
        "input_points": None if points is None else points[None],
        "input_labels": None if labels is None else labels[None],
        "input_boxes": None if boxes is None else boxes[None],
        "input_masks": mask,
        "image_embeddings": embeddings,
    }
    several = reference(**given, multimask_output=True)
    single = reference(**given, multimask_output=False)

    decoded = ours.decode(ImageFeatures(embeddings), Prompts.make(points, labels, boxes, mask))

    expected_masks = torch.cat([single.pred_masks, several.pred_masks], dim=2)[0]
    expected_iou = torch.cat([single.iou_scores, several.iou_scores], dim=2)[0]
    assert expected_masks.std() > 0.1
    torch.testing.assert_close(decoded.low_res_logits, expected_masks, atol=1e-3, rtol=0)
    torch.testing.assert_close(decoded.predicted_iou, expected_iou, atol=1e-3, rtol=0)
