"""Image features as bytes: what the platform stores and the page downloads.

Safetensors, float16, without the batch axis; the header names the encoder that made them.
"""

from __future__ import annotations

import json

import torch
from safetensors import SafetensorError
from safetensors.torch import load as from_safetensors
from safetensors.torch import save as to_safetensors
from torch import Tensor

from sam.features import ImageFeatures

_EMBEDDING = "image_embeddings"
_HIGH_RES = "high_res_features"
_ENCODER_KEY = "encoder_sha256"


class EmbeddingError(ValueError):
    """Bytes that are not an embedding, or features that cannot be stored."""


def to_bytes(features: ImageFeatures, *, encoder_sha256: str) -> bytes:
    """Write the features of one image. Raises EmbeddingError when float16 cannot hold them."""
    if features.image_embeddings.shape[0] != 1:
        raise EmbeddingError("an embedding file holds one image")
    tensors = {_EMBEDDING: _half(features.image_embeddings)}
    if features.high_res_features is not None:
        tensors[_HIGH_RES] = _half(features.high_res_features)
    data: bytes = to_safetensors(tensors, {_ENCODER_KEY: encoder_sha256})
    return data


def from_bytes(data: bytes) -> ImageFeatures:
    """Read the features of one image as float32, with a batch axis of 1. Raises EmbeddingError."""
    try:
        tensors: dict[str, Tensor] = from_safetensors(data)
    except (SafetensorError, ValueError) as error:
        raise EmbeddingError(f"this is not a readable embedding: {error}") from None
    wrong = set(tensors) - {_EMBEDDING, _HIGH_RES}
    if wrong or _EMBEDDING not in tensors or any(t.ndim != 3 for t in tensors.values()):
        raise EmbeddingError(f"this is not an embedding: it holds {sorted(tensors)}")
    high_res = tensors.get(_HIGH_RES)
    return ImageFeatures(
        tensors[_EMBEDDING].float().unsqueeze(0),
        None if high_res is None else high_res.float().unsqueeze(0),
    )


def encoder_sha256_of(data: bytes) -> str:
    """Read which encoder made an embedding, from its header. Raises EmbeddingError."""
    length = int.from_bytes(data[:8], "little")
    try:
        header = json.loads(data[8 : 8 + length])
        value = header["__metadata__"][_ENCODER_KEY]
    except (ValueError, KeyError, TypeError):
        raise EmbeddingError("this embedding does not say which encoder made it") from None
    return str(value)


def _half(tensor: Tensor) -> Tensor:
    half = tensor[0].detach().to("cpu", torch.float16).contiguous()
    if not torch.isfinite(half).all():
        raise EmbeddingError("the features hold values that float16 cannot store")
    return half
