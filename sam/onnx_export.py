"""Export the decoder for browsers and onnxruntime, and prove that it answers like the model.

The exported graph is the model's own modules; nothing is written when the outputs differ.
"""

from __future__ import annotations

import hashlib
import io
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sam.checkpoints import write_atomically
from sam.features import ImageFeatures
from sam.model import Sam
from sam.prompts import Prompts

OPSET = 17
TOLERANCE = 1e-3


class ParityError(ValueError):
    """The exported decoder does not answer like the model."""


@dataclass(frozen=True, slots=True)
class ParityReport:
    """What was written and how far its answers were from the model's at most."""

    path: Path
    sha256: str
    size_bytes: int
    num_checks: int
    max_logit_difference: float
    max_iou_difference: float


class _ExportedDecoder(nn.Module):
    def __init__(self, model: Sam) -> None:
        super().__init__()
        self.model = model

    def forward(self, *inputs: Tensor) -> tuple[Tensor, Tensor]:
        high_res = inputs[1] if self.model.config.high_res_channels else None
        coords, labels, mask_input, has_mask = inputs[-4:]
        decoded = self.model.decode(
            ImageFeatures(inputs[0], high_res), Prompts(coords, labels, mask_input, has_mask)
        )
        return decoded.low_res_logits, decoded.predicted_iou


@torch.no_grad()
def export_decoder(model: Sam, path: str | Path) -> ParityReport:
    """Write decoder.onnx (float32, any number of points) after comparing it with the model.

    Raises ParityError when an output differs by more than 1e-3 of its scale.
    """
    path, was_training = Path(path), model.training
    model.eval()
    try:
        data = _export(model)
        session = _session(data)
        differences = [_compare(session, model, inputs) for inputs in _check_inputs(model)]
    finally:
        model.train(was_training)
    worst_logit = max(logit for logit, _ in differences)
    worst_iou = max(iou for _, iou in differences)
    if not max(worst_logit, worst_iou) <= TOLERANCE:  # also true for NaN
        raise ParityError(
            f"the exported decoder differs from the model by {worst_logit:.2g} in logits and "
            f"{worst_iou:.2g} in predicted IoU (at most {TOLERANCE:g})"
        )
    write_atomically(path, data)
    return ParityReport(
        path=path,
        sha256=hashlib.sha256(data).hexdigest(),
        size_bytes=len(data),
        num_checks=len(differences),
        max_logit_difference=worst_logit,
        max_iou_difference=worst_iou,
    )


def input_names(model: Sam) -> list[str]:
    """Return the graph's inputs in order."""
    high_res = ["high_res_features"] if model.config.high_res_channels else []
    prompts = ["point_coords", "point_labels", "mask_input", "has_mask_input"]
    return ["image_embeddings", *high_res, *prompts]


def _export(model: Sam) -> bytes:
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tracer notes on Python branches that are fixed per model
        torch.onnx.export(
            _ExportedDecoder(model),
            _inputs(model, num_points=3, seed=0),
            cast(Any, buffer),  # a buffer is accepted; the annotation names paths only
            dynamo=False,
            opset_version=OPSET,
            input_names=input_names(model),
            output_names=["low_res_masks", "iou_predictions"],
            dynamic_axes={"point_coords": {1: "num_points"}, "point_labels": {1: "num_points"}},
        )
    return buffer.getvalue()


def _check_inputs(model: Sam) -> list[tuple[Tensor, ...]]:
    return [
        _inputs(model, num_points=2, seed=1, labels=(1, -1)),
        _inputs(model, num_points=2, seed=2, labels=(2, 3)),
        _inputs(model, num_points=3, seed=3, labels=(0, 2, 3), has_mask=1.0),
        _inputs(model, num_points=6, seed=4, labels=(1, 0, 1, 1, 0, -1), has_mask=1.0),
    ]


def _inputs(
    model: Sam,
    *,
    num_points: int,
    seed: int,
    labels: tuple[int, ...] | None = None,
    has_mask: float = 0.0,
) -> tuple[Tensor, ...]:
    config, random = model.config, torch.Generator().manual_seed(seed)
    fine, coarse = config.low_res_size, config.embedding_size
    inputs = [torch.randn(1, config.embed_channels, coarse, coarse, generator=random)]
    if config.high_res_channels:
        inputs.append(torch.randn(1, config.high_res_channels, fine, fine, generator=random))
    coords = torch.rand(1, num_points, 2, generator=random) * (config.image_size_px - 1)
    if labels is not None and 2 in labels:
        first = labels.index(2)
        coords[0, first : first + 2] = coords[0, first : first + 2].sort(dim=0).values
    label_row = torch.tensor([labels or (1, 0, -1)], dtype=torch.float32)
    mask = 4.0 * torch.randn(1, 1, fine, fine, generator=random)
    prompts = [coords, label_row, mask, torch.tensor([has_mask])]
    return tuple(tensor.to(model.device) for tensor in [*inputs, *prompts])


def _session(data: bytes) -> Any:
    import onnxruntime  # imported here: only exporting needs it

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors only
    return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])


def _compare(session: Any, model: Sam, inputs: tuple[Tensor, ...]) -> tuple[float, float]:
    feeds = {
        name: tensor.cpu().numpy() for name, tensor in zip(input_names(model), inputs, strict=True)
    }
    found = session.run(["low_res_masks", "iou_predictions"], feeds)
    expected = [tensor.cpu().numpy() for tensor in _ExportedDecoder(model)(*inputs)]
    logit, iou = (_difference(a, b) for a, b in zip(found, expected, strict=True))
    return logit, iou


def _difference(found: NDArray[np.float32], expected: NDArray[np.float32]) -> float:
    scale = max(1.0, float(np.abs(expected).max()))
    return float(np.abs(found - expected).max()) / scale
