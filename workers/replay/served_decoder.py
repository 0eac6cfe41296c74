"""What the annotator's page does: the served decoder.onnx on the stored embedding.

Not the model in memory: a replay measures the files that people get.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray

from engine import storage
from engine.models import Image, ModelVersion
from engine.models.image import WHOLE_PHOTO
from engine.services.images import embeddings as stored_embeddings
from masks.close_ups import CloseUp
from sam.checkpoints import embedding_files
from sam.coordinates import Frame
from sam.modeling.model import Decoded
from sam.prompting.selection import PROMPTS_PER_MASK, choose
from workers.replay.oracle import Click, Mask

FloatArray = NDArray[np.float32]


def key_of(close_up: CloseUp | None) -> str:
    """Return the name under which what is seen of a photo is stored."""
    return WHOLE_PHOTO if close_up is None else close_up.key


class ServedDecoder:
    """A version's decoder, loaded once for many photos."""

    def __init__(self, version: ModelVersion) -> None:
        self.image_size_px = int(version.config["image_size_px"])
        self.mask_size = self.image_size_px // int(version.config["low_res_stride_px"])
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        self.session: Any = onnxruntime.InferenceSession(
            str(storage.local_copy(version.decoder_key)),
            options,
            providers=["CPUExecutionProvider"],
        )

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
        features = embedding_files.from_bytes(data)
        feeds = {"image_embeddings": features.image_embeddings.numpy()}
        if features.high_res_features is not None:
            feeds["high_res_features"] = features.high_res_features.numpy()
        return OpenPhoto(self, Frame((height, width), self.image_size_px), feeds)


class OpenPhoto:
    """One object being clicked on one photo; each answer is fed back with the next click."""

    def __init__(self, decoder: ServedDecoder, frame: Frame, feeds: dict[str, FloatArray]) -> None:
        self._decoder = decoder
        self._frame = frame
        self._feeds = feeds
        self._feedback: FloatArray | None = None

    def start_object(self) -> None:
        """Forget the mask of the object before."""
        self._feedback = None

    def decode(self, clicks: Sequence[Click]) -> Mask:
        """Return the mask the page would show after these clicks, (H, W) bool."""
        marks = [int(click.label) for click in clicks]
        points = self._frame.clicks_to_model([(click.x_px, click.y_px) for click in clicks], marks)
        coords = np.vstack([points, np.zeros((1, 2))])  # the padding point
        labels = [*marks, -1]
        side = self._decoder.mask_size
        feedback = self._feedback
        mask_input = np.zeros((1, 1, side, side)) if feedback is None else feedback
        logits, ious = self._decoder.session.run(
            ["low_res_masks", "iou_predictions"],
            {
                **self._feeds,
                "point_coords": coords[None].astype(np.float32),
                "point_labels": np.array([labels], dtype=np.float32),
                "mask_input": mask_input.astype(np.float32),
                "has_mask_input": np.array([feedback is not None], dtype=np.float32),
            },
        )
        num_prompts = len(clicks) + PROMPTS_PER_MASK * (feedback is not None)
        decoded = Decoded(torch.from_numpy(logits), torch.from_numpy(ious))
        chosen = choose(decoded, num_prompts).low_res_logits[:, None]
        self._feedback = chosen.numpy()
        photo_logits = self._frame.to_image_logits(chosen)[0, 0]
        return np.asarray((photo_logits > 0).numpy())
