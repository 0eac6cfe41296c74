"""What a round would have cost with the model of the first round, for the same masks.

Rounds label different images, and images differ more than versions do, so clicks are only
comparable on the same masks.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

from engine.models import Image, ModelVersion
from masks.crops import Crop
from workers.inference.embed import embed
from workers.replay.dataset import DatasetImage
from workers.replay.labelling import draw_object
from workers.replay.served_decoder import OpenImage, ServedDecoder, key_of


class FirstModel:
    """A version and its decoder; its embeddings are computed here and not stored."""

    def __init__(self, version: ModelVersion) -> None:
        self.version = version
        self.decoder = ServedDecoder(version)

    def num_clicks(
        self, image: Image, dataset_image: DatasetImage, *, objects: Iterable[int]
    ) -> int:
        """Return the number of clicks that the oracle needs for these true masks of an image."""

        @cache
        def open_region(crop: Crop | None) -> OpenImage:
            data = embed(image, version=self.version, crop=key_of(crop))
            return self.decoder.open_bytes(data, image, crop=crop)

        return sum(
            len(draw_object(dataset_image.truths[one], open_region).clicks) for one in objects
        )
