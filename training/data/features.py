"""The frozen encoder's features of training images: read, or computed once and kept.

Features always pass through their fp16 file, so a resumed run sees the same bits as the first.
"""

from __future__ import annotations

import hashlib
from contextlib import suppress
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors import SafetensorError, safe_open

from masks.boxes import pixels_of
from masks.rgb import PixelDataError, to_rgb
from sam.checkpoints import embedding_files
from sam.checkpoints.checkpoint_files import encoder_sha256, write_atomically
from sam.modeling.features import ImageFeatures
from sam.modeling.model import Sam
from training.data.manifest import ImageRecord, ManifestError
from training.loop.run_folder import explain_unwritable


def load_rgb(path: Path) -> NDArray[np.uint8]:
    """Return an image as (H, W, 3) uint8; ManifestError when its pixels cannot be read."""
    try:
        with Image.open(path) as image:
            return np.array(to_rgb(image))
    except (OSError, SyntaxError, PixelDataError, Image.DecompressionBombError) as error:
        raise ManifestError(f"cannot read the image {path}: {error}") from error


def load_image(image: ImageRecord) -> NDArray[np.uint8]:
    """Return the pixels of a record: the image, or the part of it that the record is about."""
    pixels = load_rgb(image.image_path)
    if image.crop_xywh_px is None:
        return pixels
    return np.ascontiguousarray(pixels[pixels_of(image.crop_xywh_px)])


class FeatureStore:
    """Features of images by one model's encoder, in evaluation mode and without gradients."""

    def __init__(self, model: Sam, *, cache_dir: Path | None) -> None:
        self.model = model
        self.encoder_sha256 = encoder_sha256(model)
        self.cache_dir = cache_dir

    def get(self, image: ImageRecord) -> ImageFeatures:
        """Return the features of one image (float32, batch axis of 1).

        The file the manifest names is used when this encoder made it; else the cache; else the
        image is encoded, and kept when there is a cache. Raises ManifestError for an image that
        cannot be read or encoded.
        """
        if image.features_path is not None and self._is_ours(image.features_path):
            with suppress(embedding_files.EmbeddingError):  # a file cut short: encode anew
                return self._read(image.features_path.read_bytes())
        if self.cache_dir is None:
            return self._read(self._encode(image))
        cached = self.cache_dir / f"{self._cache_key(image)}.safetensors"
        if not self._is_ours(cached):
            data = self._encode(image)
            with explain_unwritable(cached):
                write_atomically(cached, data)
        return self._read(cached.read_bytes())

    def _is_ours(self, path: Path) -> bool:
        try:
            with safe_open(path, framework="pt") as file:
                metadata = file.metadata() or {}
        except (OSError, SafetensorError):
            return False
        return metadata.get("encoder_sha256") == self.encoder_sha256

    def _read(self, data: bytes) -> ImageFeatures:
        features = embedding_files.from_bytes(data)
        return features.to(device=self.model.device, dtype=torch.float32)

    @torch.no_grad()
    def _encode(self, image: ImageRecord) -> bytes:
        was_training = self.model.training
        self.model.eval()
        with torch.autocast(
            self.model.device.type, enabled=False
        ):  # what the platform stores is float32 work too
            features = self.model.encode(self.model.preprocess(load_image(image)))
        self.model.train(was_training)
        try:
            return embedding_files.to_bytes(features, encoder_sha256=self.encoder_sha256)
        except embedding_files.EmbeddingError as error:
            raise ManifestError(f"cannot use the image {image.image_path}: {error}") from error

    def _cache_key(self, image: ImageRecord) -> str:
        status = image.image_path.stat()
        text = f"{self.encoder_sha256}:{image.image_path.absolute()}:{status.st_size}:"
        part = "" if image.crop_xywh_px is None else f":{image.crop_xywh_px}"
        return hashlib.sha256(f"{text}{status.st_mtime_ns}{part}".encode()).hexdigest()
