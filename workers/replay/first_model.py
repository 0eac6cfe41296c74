"""What a round would have cost with the model of the first round: the same masks, drawn with it.

Rounds see different photos, and photos differ more than versions do; the same masks compare.
"""

from __future__ import annotations

from collections.abc import Iterable

from engine.models import Image, ModelVersion
from engine.models.image import WHOLE_PHOTO
from masks.close_ups import CloseUp
from workers.inference.embed import embed
from workers.replay.dataset import Photo
from workers.replay.labelling import draw_object
from workers.replay.served_decoder import OpenPhoto, ServedDecoder


class FirstModel:
    """A version and its decoder; what it sees in photos is computed here and not stored."""

    def __init__(self, version: ModelVersion) -> None:
        self.version = version
        self.decoder = ServedDecoder(version)

    def num_clicks(self, image: Image, photo: Photo, *, objects: Iterable[int]) -> int:
        """Return the clicks that the oracle gives for these true masks of a photo."""
        seen: dict[str, OpenPhoto] = {}

        def look(close_up: CloseUp | None) -> OpenPhoto:
            key = WHOLE_PHOTO if close_up is None else close_up.key
            if key not in seen:
                data = embed(image, version=self.version, close_up=key)
                seen[key] = self.decoder.open_bytes(data, image, close_up=close_up)
            return seen[key]

        return sum(len(draw_object(photo.truths[one], look).clicks) for one in objects)
