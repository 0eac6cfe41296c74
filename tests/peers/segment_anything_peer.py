"""The reference: the `segment-anything` package, and ours with the reference's weights.

Importing this module needs the package; nothing of the torchvision stand-in outlives the import.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from sam.modeling.config import DecoderConfig, SamConfig
from sam.modeling.encoders.vit import VitConfig
from sam.modeling.features import ImageFeatures
from sam.modeling.model import Prompts, Sam
from tests.peers import weights
from tests.peers.torchvision_stand_in import standing_in

with standing_in():
    import segment_anything
    from segment_anything import (
        SamAutomaticMaskGenerator,
        SamPredictor,
        modeling,
        sam_model_registry,
    )
    from segment_anything.utils.transforms import ResizeLongestSide

__all__ = [
    "AsReference",
    "ResizeLongestSide",
    "SamAutomaticMaskGenerator",
    "SamPredictor",
    "config_of",
    "official_layout",
    "official_model",
    "ours_with_same_weights",
    "segment_anything",
]


def official_model(preset: str, *, seed: int = 0) -> Any:
    """Build vit_b, vit_l or vit_h by the reference's own builder, with drawn weights."""
    with torch.device("meta"):
        model = sam_model_registry[preset]()
    return _filled(model, seed)


def official_layout(config: SamConfig, *, seed: int = 0) -> Any:
    """Build the reference's classes at any size, with drawn weights."""
    encoder, decoder = config.encoder, config.decoder
    assert isinstance(encoder, VitConfig)
    dim, cells = config.embed_channels, config.embedding_size
    with torch.device("meta"):
        model = modeling.Sam(
            image_encoder=modeling.ImageEncoderViT(
                depth=encoder.depth,
                embed_dim=encoder.embed_dim,
                img_size=config.image_size_px,
                mlp_ratio=encoder.mlp_ratio,
                norm_layer=partial(nn.LayerNorm, eps=1e-6),
                num_heads=encoder.num_heads,
                patch_size=encoder.patch_size_px,
                use_rel_pos=True,
                global_attn_indexes=encoder.global_blocks,
                window_size=encoder.window_size,
                out_chans=dim,
            ),
            prompt_encoder=modeling.PromptEncoder(
                embed_dim=dim,
                image_embedding_size=(cells, cells),
                input_image_size=(config.image_size_px, config.image_size_px),
                mask_in_chans=decoder.mask_channels,
            ),
            mask_decoder=modeling.MaskDecoder(
                transformer_dim=dim,
                transformer=modeling.TwoWayTransformer(
                    depth=decoder.num_layers,
                    embedding_dim=dim,
                    num_heads=decoder.num_heads,
                    mlp_dim=decoder.mlp_dim,
                ),
                iou_head_hidden_dim=decoder.iou_hidden_dim,
            ),
        )
    return _filled(model, seed)


def config_of(reference: Any, *, arch: str = "official") -> SamConfig:
    """Read our configuration off a built reference model."""
    encoder, prompts, decoder = (
        reference.image_encoder,
        reference.prompt_encoder,
        reference.mask_decoder,
    )
    blocks, transformer, dim = encoder.blocks, decoder.transformer, decoder.transformer_dim
    return SamConfig(
        arch=arch,
        image_size_px=encoder.img_size,
        embed_channels=dim,
        encoder=VitConfig(
            embed_dim=encoder.pos_embed.shape[-1],
            depth=len(blocks),
            num_heads=blocks[0].attn.num_heads,
            global_blocks=tuple(i for i, block in enumerate(blocks) if block.window_size == 0),
            window_size=max(block.window_size for block in blocks),
            mlp_ratio=blocks[0].mlp.lin1.out_features / blocks[0].mlp.lin1.in_features,
        ),
        decoder=DecoderConfig(
            num_layers=transformer.depth,
            num_heads=transformer.num_heads,
            mlp_dim=transformer.mlp_dim,
            iou_hidden_dim=decoder.iou_prediction_head.layers[0].out_features,
            mask_channels=prompts.mask_downscaling[-1].in_channels,
            upscale_channels=(dim // 4, dim // 8),
        ),
    )


def ours_with_same_weights(reference: Any) -> Sam:
    """Build our model of the same sizes on the reference's own tensors."""
    with torch.device("meta"):
        model = Sam(config_of(reference))
    weights.give(model, reference.state_dict())
    model.restore_buffers()
    return model


def _filled(model: Any, seed: int) -> Any:
    weights.give(model, weights.draw(model.state_dict(), seed=seed))
    for name, values in (  # the published constants: no checkpoint holds them
        ("pixel_mean", (123.675, 116.28, 103.53)),
        ("pixel_std", (58.395, 57.12, 57.375)),
    ):
        model.register_buffer(name, torch.tensor(values).reshape(3, 1, 1), persistent=False)
    return model


class AsReference:
    """One of our models in the shape that the reference's predictor and generator drive.

    Only encoding and decoding are ours; resizing, upscaling and all filters are the reference's.
    """

    mask_threshold = 0.0
    image_format = "RGB"
    postprocess_masks = modeling.Sam.postprocess_masks

    def __init__(self, ours: Sam) -> None:
        self.ours = ours
        self.device = ours.device
        self.prompt_encoder = _AsPromptEncoder()

    @property
    def image_encoder(self) -> _AsImageEncoder:
        """What is called with preprocessed images and knows their size."""
        return _AsImageEncoder(self.ours)

    def preprocess(self, pixels_13hw: Tensor) -> Tensor:
        """Normalise and pad a resized image."""
        return self.ours.normalise_and_pad(pixels_13hw)

    def mask_decoder(
        self,
        *,
        image_embeddings: ImageFeatures,
        image_pe: None,
        sparse_prompt_embeddings: Prompts,
        dense_prompt_embeddings: None,
        multimask_output: bool,
    ) -> tuple[Tensor, Tensor]:
        """Return (N, 3 or 1, S/4, S/4) logits and their predicted IoU."""
        decoded = self.ours.decode(image_embeddings, sparse_prompt_embeddings)
        kept = slice(1, None) if multimask_output else slice(0, 1)
        return decoded.low_res_logits[:, kept], decoded.predicted_iou[:, kept]


class _AsImageEncoder:
    def __init__(self, ours: Sam) -> None:
        self.ours = ours
        self.img_size = ours.config.image_size_px

    def __call__(self, images_b3ss: Tensor) -> ImageFeatures:
        return self.ours.encode(images_b3ss)


class _AsPromptEncoder:
    """Hands prompts through: our decoder takes them as they are."""

    def __call__(
        self, *, points: tuple[Tensor, Tensor] | None, boxes: Tensor | None, masks: Tensor | None
    ) -> tuple[Prompts, None]:
        coords, labels = points if points is not None else (None, None)
        coords = None if coords is None else coords.float()
        return Prompts.make(coords, labels, boxes, masks), None

    def get_dense_pe(self) -> None:
        return None
