"""Encode stored images, and convert features to and from their stored form.

Features always pass through their fp16 file, so a worker sees the bits the annotator's page sees.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image as PillowImage

from engine import storage
from engine.models import Embedding, Image, ModelVersion
from engine.models.image import WHOLE_IMAGE
from masks.boxes import pixels_of
from masks.crops import Crop
from sam.checkpoints import embedding_files
from sam.modeling.features import ImageFeatures
from workers.inference.registry import sam_of


def read_image_rgb(image: Image) -> NDArray[np.uint8]:
    """Return the pixels of a stored image, (H, W, 3) uint8 RGB."""
    with storage.open(image.storage_key) as file, PillowImage.open(file) as opened:
        return np.array(opened.convert("RGB"))


def embed(image: Image, *, version: ModelVersion, crop: str = WHOLE_IMAGE) -> bytes:
    """Encode an image with a version's encoder into the bytes that are stored and served.

    crop: Key of a crop of the image, which is encoded alone, as an image of its own size.
    """
    model, pixels, crop_hw = sam_of(version), read_image_rgb(image), None
    if crop:
        hw = (image.height_px, image.width_px)
        pixels = pixels[pixels_of(Crop.parse(crop, image_hw=hw).xywh_px(hw))]
        crop_hw = (pixels.shape[0], pixels.shape[1])
    with torch.inference_mode():
        features = model.encode(model.preprocess(pixels))
    return embedding_files.to_bytes(
        features, encoder_sha256=version.encoder_sha256, image_hw=crop_hw
    )


def features_of(image: Image, *, version: ModelVersion) -> tuple[ImageFeatures, bytes | None]:
    """Return the features of an image (float32, on the model's device).

    The second value is the embedding's bytes when it had to be computed: worth storing.
    """
    stored = Embedding.objects.filter(
        image=image, encoder_sha256=version.encoder_sha256, crop=WHOLE_IMAGE
    ).first()
    if stored is None:
        new = data = embed(image, version=version)
    else:
        new, data = None, storage.read_bytes(stored.storage_key)
    features = embedding_files.from_bytes(data).to(
        device=sam_of(version).device, dtype=torch.float32
    )
    return features, new
