"""Export the decoder for browsers and onnxruntime, and prove that it answers like the model.

The exported graph is the model's own modules; nothing is written when the outputs differ.
"""

from __future__ import annotations

import hashlib
import io
import json
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from sam.checkpoints.checkpoint_files import ENCODER_KEY, encoder_sha256, write_atomically
from sam.coordinates import Frame
from sam.export.onnx_tidy import tidy
from sam.export.onnx_weights import quantize_weights
from sam.modeling.features import ImageFeatures
from sam.modeling.mask_decoder import NUM_MASKS
from sam.modeling.model import Sam
from sam.prompts import Prompts

OPSET = 20
FLOAT = 1  # onnx.TensorProto.FLOAT
TOLERANCE = 1e-3
MIN_QUANTIZED_IOU = 0.98


class ParityError(ValueError):
    """The exported decoder does not answer like the model."""


@dataclass(frozen=True, slots=True)
class ParityReport:
    """What was written and how far its answers were from the model's at most.

    mean_mask_iou: of the binary masks, over all checks.
    """

    path: Path
    sha256: str
    size_bytes: int
    num_checks: int
    max_logit_difference: float
    max_iou_difference: float
    mean_mask_iou: float

    def require_equal(self) -> None:
        """Raise ParityError when an output differs by more than 1e-3 of its scale."""
        if not max(self.max_logit_difference, self.max_iou_difference) <= TOLERANCE:  # or NaN
            raise ParityError(
                f"the exported decoder differs from the model by {self.max_logit_difference:.2g} "
                f"in logits and {self.max_iou_difference:.2g} in predicted IoU (at most "
                f"{TOLERANCE:g})"
            )


class _ExportedDecoder(nn.Module):
    """The model's decoder with tensors only, in the order of `input_names`."""

    def __init__(self, model: Sam, *, full_resolution: bool) -> None:
        super().__init__()
        self.model = model
        self.full_resolution = full_resolution

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        tensors = dict(zip(input_names(self.model, self.full_resolution), inputs, strict=True))
        features = ImageFeatures(tensors["image_embeddings"], tensors.get("high_res_features"))
        prompts = Prompts(
            tensors["point_coords"],
            tensors["point_labels"],
            tensors["mask_input"],
            tensors["has_mask_input"],
        )
        decoded = self.model.decode(features, prompts)
        if not self.full_resolution:
            return decoded.low_res_logits, decoded.predicted_iou
        masks = self._at_image_size(decoded.low_res_logits, tensors["orig_im_size"])
        return masks, decoded.predicted_iou, decoded.low_res_logits

    def _at_image_size(self, low_res_logits: Tensor, image_hw: Tensor) -> Tensor:
        """Do as `Frame.to_image_logits`, with the image's size as a tensor (2,)."""
        size = self.model.config.image_size_px
        height, width = torch.floor(image_hw * (size / image_hw.max()) + 0.5).long()
        square = F.interpolate(low_res_logits, (size, size), mode="bilinear", align_corners=False)
        cropped = square[..., :height, :width]
        image = image_hw.long()
        return F.interpolate(
            cropped, cast(Any, (image[0], image[1])), mode="bilinear", align_corners=False
        )


@torch.no_grad()
def export_decoder(
    model: Sam,
    path: str | Path,
    *,
    full_resolution: bool = False,
    quantized: bool = False,
    licence: str | None = None,
) -> ParityReport:
    """Write decoder.onnx after comparing it with the model.

    It takes any number of prompt sets, each of equally many points or none, on one image, and says
    in its metadata what it is the decoder of: see `described`. licence: of the weights.

    full_resolution: one more input, orig_im_size (height, width), and one more output, masks:
    logits at the image's size, as the official export has them. quantized: weights of 8 bits, a
    quarter of the size; they are widened when the file is loaded, so the speed is the same.
    Raises ParityError when an output differs by more than 1e-3 of its scale, or, quantized, when
    masks agree at less than mean IoU 0.98.
    """
    path, was_training = Path(path), model.training
    decoder = _ExportedDecoder(model.eval(), full_resolution=full_resolution)
    try:
        data = described(_export(decoder), model, licence=licence)
        if quantized:
            data = quantize_weights(data)
        report = _checked(decoder, data, path)
    finally:
        model.train(was_training)
    if quantized and not report.mean_mask_iou >= MIN_QUANTIZED_IOU:  # also true for NaN
        raise ParityError(
            f"the quantized decoder's masks agree with the model's at mean IoU "
            f"{report.mean_mask_iou:.3f} (at least {MIN_QUANTIZED_IOU:g})"
        )
    if not quantized:
        report.require_equal()
    write_atomically(path, data)
    return report


@torch.no_grad()
def check_decoder(model: Sam, path: str | Path) -> ParityReport:
    """Compare a decoder.onnx that was written before with a model.

    Raises ParityError when onnxruntime cannot read it, or its inputs or outputs are others.
    """
    data, was_training = Path(path).read_bytes(), model.training
    decoder = _ExportedDecoder(model.eval(), full_resolution=False)
    try:
        return _checked(decoder, data, Path(path))
    finally:
        model.train(was_training)


def _checked(decoder: _ExportedDecoder, data: bytes, path: Path) -> ParityReport:
    session = _session(data)
    found = [_compare(session, decoder, inputs) for inputs in _check_inputs(decoder.model)]
    return ParityReport(
        path=path,
        sha256=hashlib.sha256(data).hexdigest(),
        size_bytes=len(data),
        num_checks=len(found),
        max_logit_difference=max(row[0] for row in found),
        max_iou_difference=max(row[1] for row in found),
        mean_mask_iou=sum(row[2] for row in found) / len(found),
    )


def input_names(model: Sam, full_resolution: bool = False) -> list[str]:
    """Return the graph's inputs in order."""
    high_res = ["high_res_features"] if model.config.high_res_channels else []
    prompts = ["point_coords", "point_labels", "mask_input", "has_mask_input"]
    size = ["orig_im_size"] if full_resolution else []
    return ["image_embeddings", *high_res, *prompts, *size]


def output_names(full_resolution: bool = False) -> list[str]:
    """Return the graph's outputs in order; with image-sized masks the official names."""
    if full_resolution:
        return ["masks", "iou_predictions", "low_res_masks"]
    return ["low_res_masks", "iou_predictions"]


def described(data: bytes, model: Sam, *, licence: str | None = None) -> bytes:
    """Note in a decoder's file what another program must know to use it, lists as JSON."""
    import onnx  # imported here: only exporting needs it

    config = model.config
    fine, coarse = config.low_res_size, config.embedding_size
    shapes = {"image_embeddings": [1, config.embed_channels, coarse, coarse]}
    if config.high_res_channels:
        shapes["high_res_features"] = [1, config.high_res_channels, fine, fine]
    notes: dict[str, Any] = {
        "arch": config.arch,
        "image_size_px": config.image_size_px,
        "pixel_mean": [round(value, 4) for value in model.pixel_mean.flatten().tolist()],
        "pixel_std": [round(value, 4) for value in model.pixel_std.flatten().tolist()],
        "max_exposure_gain": config.max_exposure_gain,
        "embedding_shapes": shapes,
        ENCODER_KEY: encoder_sha256(model),
    }
    if licence is not None:
        notes["licence"] = licence
    graph: Any = onnx.load_from_string(data)
    written = {k: note if isinstance(note, str) else json.dumps(note) for k, note in notes.items()}
    onnx.helper.set_model_props(graph, written)
    whole: bytes = graph.SerializeToString()
    return whole


def _export(decoder: _ExportedDecoder) -> bytes:
    buffer = io.BytesIO()
    full = decoder.full_resolution
    names, outputs = input_names(decoder.model, full), output_names(full)
    prompts = {name: {0: "num_prompts"} for name in ("mask_input", "has_mask_input")}
    points = {
        name: {0: "num_prompts", 1: "num_points"} for name in ("point_coords", "point_labels")
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tracer notes on Python branches that are fixed per model
        torch.onnx.export(
            decoder,
            _inputs(decoder.model, labels=(1, 0, -1), seed=0, num_prompts=2)[: len(names)],
            cast(Any, buffer),  # a buffer is accepted; the annotation names paths only
            dynamo=False,
            opset_version=OPSET,
            input_names=names,
            output_names=outputs,
            dynamic_axes={
                **points,
                **prompts,
                **{name: {0: "num_prompts"} for name in outputs},
            },
        )
    probes = [
        dict(zip(names, [tensor.cpu().numpy() for tensor in row], strict=False))
        for row in _check_inputs(decoder.model)
    ]
    return _with_named_axes(tidy(buffer.getvalue(), probes), decoder.model.config.low_res_size)


def _with_named_axes(data: bytes, low_res_size: int) -> bytes:
    """Say the outputs' shapes, which the tracer gives names of its own."""
    import onnx

    axes: dict[str, list[str | int]] = {
        "masks": ["num_prompts", NUM_MASKS, "height", "width"],
        "low_res_masks": ["num_prompts", NUM_MASKS, low_res_size, low_res_size],
        "iou_predictions": ["num_prompts", NUM_MASKS],
    }
    model: Any = onnx.load_from_string(data)
    for output in model.graph.output:
        shape = axes[output.name]
        output.CopyFrom(onnx.helper.make_tensor_value_info(output.name, FLOAT, shape))
    whole: bytes = model.SerializeToString()
    return whole


def _check_inputs(model: Sam) -> list[tuple[Tensor, ...]]:
    """Draw inputs of all kinds; numbers of prompt sets and of points differ (see `tidy`)."""
    return [
        _inputs(model, labels=(1, -1), seed=1),
        _inputs(model, labels=(2, 3), seed=2, image_hw=(70, 211)),
        _inputs(model, labels=(0, 2, 3), seed=3, has_mask=1.0, image_hw=(300, 200)),
        _inputs(model, labels=(1, 0, 1, 1, 0, -1), seed=4, num_prompts=3, has_mask=1.0),
        _inputs(model, labels=(), seed=5, num_prompts=2, has_mask=1.0),
        _inputs(model, labels=(0, -1), seed=6),
    ]


def _inputs(
    model: Sam,
    *,
    labels: tuple[int, ...],
    seed: int,
    num_prompts: int = 1,
    has_mask: float = 0.0,
    image_hw: tuple[int, int] = (150, 200),
) -> tuple[Tensor, ...]:
    """Draw one set of inputs, the image's size last."""
    config, random = model.config, torch.Generator().manual_seed(seed)
    fine, coarse = config.low_res_size, config.embedding_size
    inputs = [torch.randn(1, config.embed_channels, coarse, coarse, generator=random)]
    if config.high_res_channels:
        inputs.append(torch.randn(1, config.high_res_channels, fine, fine, generator=random))
    coords = torch.rand(num_prompts, len(labels), 2, generator=random) * (config.image_size_px - 1)
    if 2 in labels:
        corners = slice(labels.index(2), labels.index(2) + 2)
        coords[:, corners] = coords[:, corners].sort(dim=1).values
    label_rows = torch.tensor(labels, dtype=torch.float32).expand(num_prompts, -1)
    mask = 4.0 * torch.randn(num_prompts, 1, fine, fine, generator=random)
    size = torch.tensor(image_hw, dtype=torch.float32)
    prompts = [coords, label_rows, mask, torch.full((num_prompts,), has_mask), size]
    return tuple(tensor.to(model.device) for tensor in [*inputs, *prompts])


def _session(data: bytes) -> Any:
    import onnxruntime  # imported here: only exporting needs it

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # fatal only: what fails is raised, and told by us
    try:
        return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's errors share no base of their own
        raise ParityError(f"the decoder file cannot be run: {error}") from error


def _compare(
    session: Any, decoder: _ExportedDecoder, inputs: tuple[Tensor, ...]
) -> tuple[float, float, float]:
    """Return the largest differences of logits and predicted IoU, and the masks' IoU."""
    full = decoder.full_resolution
    names = input_names(decoder.model, full)
    inputs = inputs[: len(names)]
    feeds = {name: tensor.cpu().numpy() for name, tensor in zip(names, inputs, strict=True)}
    outputs = output_names(full)
    try:
        answers = session.run(outputs, feeds)
    except Exception as error:  # as above
        raise ParityError(f"the decoder file does not fit the model: {error}") from error
    found = dict(zip(outputs, answers, strict=True))
    expected = {
        name: tensor.cpu().numpy() for name, tensor in zip(outputs, decoder(*inputs), strict=True)
    }
    logits = [name for name in outputs if name != "iou_predictions"]
    if full:
        frame = Frame(tuple(inputs[-1].int().tolist()), decoder.model.config.image_size_px)
        low_res = torch.from_numpy(expected["low_res_masks"])
        expected["masks"] = frame.to_image_logits(low_res).numpy()
    return (
        max(_difference(found[name], expected[name]) for name in logits),
        _difference(found["iou_predictions"], expected["iou_predictions"]),
        _mask_iou(found[logits[0]] > 0, expected[logits[0]] > 0),
    )


def _difference(found: NDArray[np.float32], expected: NDArray[np.float32]) -> float:
    if found.shape != expected.shape:
        raise ParityError(f"an output has shape {found.shape}, the model's is {expected.shape}")
    scale = max(1.0, float(np.abs(expected).max()))
    return float(np.abs(found - expected).max()) / scale


def _mask_iou(found: NDArray[np.bool_], expected: NDArray[np.bool_]) -> float:
    union = int((found | expected).sum())
    return int((found & expected).sum()) / union if union else 1.0
