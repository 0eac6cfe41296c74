"""What a round would have cost with the model of the first round: the same masks, drawn with it.

Rounds see different photos, and photos differ more than versions do; the same masks compare.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

from engine.models import Image, ModelVersion
from masks.close_ups import CloseUp
from workers.inference.embed import embed
from workers.replay.dataset import Photo
from workers.replay.labelling import draw_object
from workers.replay.served_decoder import OpenPhoto, ServedDecoder, key_of


class FirstModel:
    """A version and its decoder; what it sees in photos is computed here and not stored."""

    def __init__(self, version: ModelVersion) -> None:
        self.version = version
        self.decoder = ServedDecoder(version)

    def num_clicks(self, image: Image, photo: Photo, *, objects: Iterable[int]) -> int:
        """Return the clicks that the oracle gives for these true masks of a photo."""

        @cache
        def look(close_up: CloseUp | None) -> OpenPhoto:
            data = embed(image, version=self.version, close_up=key_of(close_up))
            return self.decoder.open_bytes(data, image, close_up=close_up)

        return sum(len(draw_object(photo.truths[one], look).clicks) for one in objects)
