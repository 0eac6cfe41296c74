"""What the annotator's page does: the served decoder.onnx on the stored embedding.

Not the model in memory: a replay measures the files that people get.
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
from engine.models.image import WHOLE_PHOTO
from engine.services.images import embeddings as stored_embeddings
from masks.close_ups import CloseUp
from workers.replay.oracle import Click, Mask


def key_of(close_up: CloseUp | None) -> str:
    """Return the name under which what is seen of a photo is stored."""
    return WHOLE_PHOTO if close_up is None else close_up.key


class ServedDecoder:
    """A version's decoder, loaded once for many photos."""

    def __init__(self, version: ModelVersion) -> None:
        self._sizes = DecoderSizes.from_config(version.config)
        path = storage.local_copy(version.decoder_key)
        self._network = Network(path, name=version.decoder_sha256[:12])

    def open(self, image: Image, *, close_up: CloseUp | None = None) -> OpenPhoto:
        """Fetch the embedding of a photo or of a square of it; NotReady: it is not there yet.

        A square is a photo of its own: clicks and masks are in its pixels.
        """
        stored = stored_embeddings.embedding_for(image, close_up=key_of(close_up))
        return self.open_bytes(storage.read_bytes(stored.storage_key), image, close_up=close_up)

    def open_bytes(self, data: bytes, image: Image, *, close_up: CloseUp | None) -> OpenPhoto:
        """Open a photo, or a square of it, by an embedding's bytes."""
        height, width = image.height_px, image.width_px
        if close_up is not None:
            _, _, width, height = close_up.xywh_px((image.height_px, image.width_px))
        decoder = ImageDecoder.of(
            self._network, read_embedding(data), sizes=self._sizes, image_hw=(height, width)
        )
        return OpenPhoto(decoder)


class OpenPhoto:
    """One object being clicked on one photo; each answer is fed back with the next click."""

    def __init__(self, decoder: ImageDecoder) -> None:
        self._decoder = decoder
        self._feedback: NDArray[np.float32] | None = None

    def start_object(self) -> None:
        """Forget the mask of the object before."""
        self._feedback = None

    def decode(self, clicks: Sequence[Click]) -> Mask:
        """Return the mask the page would show after these clicks, (H, W) bool."""
        points = tuple(
            PointPrompt(x_px=click.x_px, y_px=click.y_px, label=1 if click.label else 0)
            for click in clicks
        )
        best, *_ = self._decoder.decode(DecoderPrompts(points), self._feedback)
        self._feedback = best.low_res_logits
        return best.mask_hw
