"""The decoder's graph in onnxruntime, and the embeddings it runs on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, load_file

FloatArray = NDArray[np.float32]
Feeds = Mapping[str, FloatArray]
Run = Callable[[Feeds], tuple[FloatArray, FloatArray]]
"""Prompt feeds to low-resolution logits (1, 4, S/4, S/4) and predicted IoU (1, 4)."""

CACHED_NETWORKS = 2  # the serving decoder and the one being replaced


class DecodingError(RuntimeError):
    """A stored decoder or embedding that cannot be used: our fault, not the caller's."""


class Network:
    """A decoder, ready to run on any image's embedding: decoder.onnx, or its two halves."""

    def __init__(
        self,
        path: Path,
        *,
        name: str,
        image_half: Path | None = None,
        num_threads: int | None = None,
    ) -> None:
        """Load the files.

        Args:
            path: decoder.onnx, or with image_half what runs for each prompt.
            name: what an error calls the decoder.
            num_threads: for one operator; None leaves it to onnxruntime.

        Raises:
            DecodingError: onnxruntime cannot load it.
        """
        self._name = name
        self._session = self._load(path, num_threads)
        self._image_half = None if image_half is None else self._load(image_half, num_threads)

    def prepare(self, embedding: Feeds) -> Run:
        """Do what the image alone needs; return what answers prompts on it. Both may raise
        DecodingError."""
        features = dict(embedding)
        if self._image_half is not None:
            names = [node.name for node in self._image_half.get_outputs()]
            shared = self._run(self._image_half, names, features)
            features |= dict(zip(names, shared, strict=True))

        def run(prompts: Feeds) -> tuple[FloatArray, FloatArray]:
            names = ["low_res_masks", "iou_predictions"]
            low_res, scores = self._run(self._session, names, {**features, **prompts})
            return low_res, scores

        return run

    def _load(self, path: Path, num_threads: int | None) -> Any:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        if num_threads is not None:
            options.intra_op_num_threads = num_threads
        try:
            return onnxruntime.InferenceSession(
                str(path), sess_options=options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # onnxruntime raises its own unexported classes
            raise DecodingError(f"decoder {self._name} cannot be loaded: {error}") from error

    def _run(self, session: Any, outputs: list[str], feeds: Feeds) -> list[FloatArray]:
        wanted = {node.name for node in session.get_inputs()}
        try:
            found: list[FloatArray] = session.run(
                outputs, {name: tensor for name, tensor in feeds.items() if name in wanted}
            )
        except Exception as error:  # see _load
            raise DecodingError(f"decoder {self._name} failed: {error}") from error
        return found


@lru_cache(maxsize=CACHED_NETWORKS)
def cached_network(path: Path, *, sha256: str) -> Network:
    """Load a stored decoder once for many requests, which already run side by side."""
    return Network(path, name=sha256[:12], num_threads=1)


def load_embedding(path: Path) -> dict[str, FloatArray]:
    """Return the tensors of a stored embedding as float32 with a batch axis; DecodingError."""
    try:
        tensors = load_file(str(path))
    except (OSError, SafetensorError) as error:
        raise DecodingError(f"embedding {path.name} cannot be read: {error}") from error
    return _batched(tensors)


def read_embedding(data: bytes) -> dict[str, FloatArray]:
    """Return the same from an embedding file's bytes."""
    try:
        tensors = load(data)
    except SafetensorError as error:
        raise DecodingError(f"the embedding cannot be read: {error}") from error
    return _batched(tensors)


def _batched(tensors: Mapping[str, NDArray[Any]]) -> dict[str, FloatArray]:
    return {name: tensor.astype(np.float32)[None] for name, tensor in tensors.items()}
