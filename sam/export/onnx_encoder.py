"""Run the image encoder in onnxruntime instead of torch: an option, with the same answers.

The graph is exported once for each encoder and kept in a folder of the caller's choice.
"""

from __future__ import annotations

import os
import time
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from sam.checkpoints.checkpoint_files import encoder_sha256
from sam.modeling.features import ImageFeatures
from sam.modeling.model import Sam

_OPSET = 17
_MAX_BYTES = 2_000_000_000
"""A larger graph does not fit in one protobuf file (vit_h)."""


KEPT_GRAPHS = 4
"""How many encoders' graphs stay in a folder."""


class EngineError(ValueError):
    """An encoder that the engine cannot run; the message says why."""


def use_onnxruntime(model: Sam, cache_dir: Path, *, num_threads: int | None = None) -> None:
    """Let `model.encode` run in onnxruntime on the CPU, from a graph kept in cache_dir.

    The first call for an encoder exports it (ViT-B: half a minute, 360 MB). Training such a model
    is refused by `encode`. Raises EngineError when the encoder cannot be exported.
    """
    if model.device.type != "cpu":
        raise EngineError("the onnxruntime engine runs on the CPU; this model is elsewhere")
    size_bytes = 4 * sum(parameter.numel() for parameter in model.image_encoder.parameters())
    if size_bytes > _MAX_BYTES:
        raise EngineError(
            f"the encoder of {model.config.arch} has {size_bytes / 1e9:.1f} GB of weights, "
            f"the onnxruntime engine takes {_MAX_BYTES / 1e9:.0f} GB at most"
        )
    size_px = model.config.image_size_px
    path = cache_dir / f"encoder-{encoder_sha256(model)[:16]}-{size_px}.onnx"
    if path.is_file():
        os.utime(path, ns=(time.time_ns(), path.stat().st_mtime_ns))  # read now, written then
    else:
        _export(model, path)
        _forget_old(cache_dir)
    model.use_engine(_OnnxEncoder(path, num_threads=num_threads or torch.get_num_threads()))


def _forget_old(cache_dir: Path) -> None:
    """Remove all but the graphs that were used last: every retrained encoder leaves one."""
    graphs = sorted(cache_dir.glob("encoder-*.onnx"), key=lambda path: path.stat().st_atime_ns)
    for path in graphs[:-KEPT_GRAPHS]:
        path.unlink(missing_ok=True)


class _OnnxEncoder:
    def __init__(self, path: Path, *, num_threads: int) -> None:
        import onnxruntime  # imported here: only this engine needs it

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = num_threads
        # waiting threads sleep: spinning, they take the core from whatever else runs
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3  # errors only
        self._session: Any = onnxruntime.InferenceSession(
            path, options, providers=["CPUExecutionProvider"]
        )

    def __call__(self, images_b3ss: Tensor) -> ImageFeatures:
        parts = [self._session.run(None, {"image": image[None].numpy()}) for image in images_b3ss]
        embeddings, *high_res = (
            torch.cat([torch.from_numpy(part[i]) for part in parts]) for i in range(len(parts[0]))
        )
        return ImageFeatures(embeddings, high_res[0] if high_res else None)


class _ExportedEncoder(nn.Module):
    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, images_b3ss: Tensor) -> tuple[Tensor, ...]:
        features: ImageFeatures = self.encoder(images_b3ss)
        high_res = features.high_res_features
        return (features.image_embeddings,) + (() if high_res is None else (high_res,))


@torch.no_grad()
def _export(model: Sam, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    size = model.config.image_size_px
    names = ["image_embeddings", *(["high_res_features"] if model.config.high_res_channels else [])]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # tracer notes on sizes that are fixed per model
            torch.onnx.export(
                _ExportedEncoder(model.image_encoder).eval(),
                (torch.zeros(1, 3, size, size),),
                partial,
                dynamo=False,
                opset_version=_OPSET,
                input_names=["image"],
                output_names=names,
            )
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
