"""Decode clicks as the annotator's page does: the served decoder halves on the embedding.

A replay measures the files that annotators get, not the model in memory.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from engine import storage
from engine.decoding.decoder import ImageDecoder
from engine.decoding.frame import DecoderSizes
from engine.decoding.network import Network, read_embedding
from engine.decoding.prompts import DecoderPrompts
from engine.domain.prompts import PointPrompt
from engine.models import Image, ModelVersion
from engine.models.image import WHOLE_IMAGE
from engine.services.images import embeddings as stored_embeddings
from engine.services.models import decoder_files
from masks.crops import Crop
from workers.replay.oracle import Click, Mask


def key_of(crop: Crop | None) -> str:
    """Return the key under which the embedding of an image or of its crop is stored."""
    return WHOLE_IMAGE if crop is None else crop.key


class ServedDecoder:
    """The decoder of a version, loaded once for many images."""

    def __init__(self, version: ModelVersion) -> None:
        self._sizes = DecoderSizes.from_config(version.config)
        halves = decoder_files.halves_of(version)
        self._network = Network(
            storage.local_copy(halves.prompt),
            name=version.decoder_sha256[:12],
            image_half=storage.local_copy(halves.image) if halves.image else None,
        )

    def open(self, image: Image, *, crop: Crop | None = None) -> OpenImage:
        """Read the stored embedding of an image or of a crop of it.

        Clicks and masks are in pixels of the crop.

        Raises:
            NotReady: The embedding is not computed yet; a job for it is queued.
        """
        stored = stored_embeddings.embedding_for(image, crop=key_of(crop))
        return self.open_bytes(storage.read_bytes(stored.storage_key), image, crop=crop)

    def open_bytes(self, data: bytes, image: Image, *, crop: Crop | None) -> OpenImage:
        """Open an image or a crop of it by the bytes of its embedding."""
        height, width = image.height_px, image.width_px
        if crop is not None:
            _, _, width, height = crop.xywh_px((image.height_px, image.width_px))
        decoder = ImageDecoder.of(
            self._network, read_embedding(data), sizes=self._sizes, image_hw=(height, width)
        )
        return OpenImage(decoder)


class OpenImage:
    """Clicks on one object of one image; each mask is fed back with the next click."""

    def __init__(self, decoder: ImageDecoder) -> None:
        self._decoder = decoder
        self._feedback: NDArray[np.float32] | None = None

    def start_object(self) -> None:
        """Forget the mask of the object before."""
        self._feedback = None

    def decode(self, clicks: Sequence[Click]) -> Mask:
        """Return the mask that the page would show after these clicks, (H, W) bool."""
        points = tuple(
            PointPrompt(x_px=click.x_px, y_px=click.y_px, label=1 if click.label else 0)
            for click in clicks
        )
        best, *_ = self._decoder.decode(DecoderPrompts(points), self._feedback)
        self._feedback = best.low_res_logits
        return best.mask_hw
