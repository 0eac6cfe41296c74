"""Image features as bytes: what the platform stores and the page downloads.

Safetensors, float16, without the batch axis; the header names the encoder that made them.
"""

from __future__ import annotations

import json
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as from_safetensors
from torch import Tensor

from sam.modeling.features import ImageFeatures
from sam.tensor_files import safetensors_bytes

_EMBEDDING = "image_embeddings"
_HIGH_RES = "high_res_features"
_ENCODER_KEY = "encoder_sha256"
_IMAGE_HW_KEY = "image_hw"


class EmbeddingError(ValueError):
    """Bytes that are not an embedding, or features that cannot be stored."""


def to_bytes(
    features: ImageFeatures, *, encoder_sha256: str, image_hw: tuple[int, int] | None = None
) -> bytes:
    """Write the features of one image. Raises EmbeddingError when float16 cannot hold them.

    image_hw: the image's height and width, for readers that do not have the image. The same
    features make the same bytes, so that encoding an image again leaves one file.
    """
    if features.image_embeddings.shape[0] != 1:
        raise EmbeddingError("an embedding file holds one image")
    tensors = {_EMBEDDING: _half(features.image_embeddings)}
    if features.high_res_features is not None:
        tensors[_HIGH_RES] = _half(features.high_res_features)
    header = {_ENCODER_KEY: encoder_sha256}
    if image_hw is not None:
        header[_IMAGE_HW_KEY] = json.dumps(image_hw)
    return safetensors_bytes(tensors, header)


def from_bytes(data: bytes) -> ImageFeatures:
    """Read the features of one image as float32, with a batch axis of 1. Raises EmbeddingError."""
    try:
        tensors: dict[str, Tensor] = from_safetensors(data)
    except (SafetensorError, ValueError) as error:
        raise EmbeddingError(f"this is not a readable embedding: {error}") from None
    wrong = set(tensors) - {_EMBEDDING, _HIGH_RES}
    if wrong or _EMBEDDING not in tensors or any(t.ndim != 3 for t in tensors.values()):
        raise EmbeddingError(f"this is not an embedding: it holds {sorted(tensors)}")
    for name, tensor in tensors.items():
        if not tensor.is_floating_point() or not torch.isfinite(tensor).all():
            raise EmbeddingError(f"this is not an embedding: its {name} are not finite numbers")
    high_res = tensors.get(_HIGH_RES)
    return ImageFeatures(
        tensors[_EMBEDDING].float().unsqueeze(0),
        None if high_res is None else high_res.float().unsqueeze(0),
    )


def encoder_sha256_of(data: bytes) -> str:
    """Read which encoder made an embedding, from its header. Raises EmbeddingError."""
    try:
        return str(_header(data)[_ENCODER_KEY])
    except KeyError:
        raise EmbeddingError("this embedding does not say which encoder made it") from None


def image_hw_of(data: bytes) -> tuple[int, int] | None:
    """Read the image's height and width from an embedding's header; None when it holds none."""
    try:
        height, width = (int(side) for side in json.loads(_header(data)[_IMAGE_HW_KEY]))
    except (KeyError, ValueError, TypeError, OverflowError, RecursionError):
        return None
    return (height, width) if min(height, width) > 0 else None


def _header(data: bytes) -> dict[str, Any]:
    length = int.from_bytes(data[:8], "little")
    try:
        metadata = json.loads(data[8 : 8 + length])["__metadata__"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return {}
    return metadata if isinstance(metadata, dict) else {}


def _half(tensor: Tensor) -> Tensor:
    half = tensor[0].detach().to("cpu", torch.float16).contiguous()
    if not torch.isfinite(half).all():
        raise EmbeddingError("the features hold values that float16 cannot store")
    return half
