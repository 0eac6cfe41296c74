"""The promptable decoder for clients without one: decoder.onnx on a stored embedding.

Runs through onnxruntime in the web process; torch is never needed. The page in the browser runs
the same file with the same feeds, pinned by tests/golden/.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime
from safetensors import SafetensorError
from safetensors.numpy import load_file

from engine.domain.prompts import BoxPrompt, PointPrompt
from masks import seeds
from masks.boxes import pixels_of
from masks.rle import Rle

FloatArray = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

LABEL_PADDING, LABEL_BOX_TOP_LEFT, LABEL_BOX_BOTTOM_RIGHT = -1, 2, 3
MASK_THRESHOLD_LOGIT = 0.0
ROWS_AT_ONCE = 1024  # bounds the float copy of a large photo's logits
CACHED_SESSIONS = 2  # the serving decoder and the one being replaced


class DecodingError(RuntimeError):
    """A stored decoder or embedding that cannot be used: our fault, not the caller's."""


@dataclass(frozen=True, slots=True)
class Candidate:
    rle: Rle
    predicted_iou: float


@dataclass(frozen=True, slots=True)
class DecoderFrame:
    """Maps pixels of the photo to the decoder's padded square and back."""

    image_hw: tuple[int, int]
    image_size_px: int

    @property
    def input_hw(self) -> tuple[int, int]:
        """Size of the resized photo inside the square: each side floor(side * scale + 0.5)."""
        height, width = self.image_hw
        scale = self.image_size_px / max(height, width)
        return math.floor(height * scale + 0.5), math.floor(width * scale + 0.5)

    def to_model(self, x_px: float, y_px: float) -> tuple[float, float]:
        """Scale each axis by its own ratio, as the reference does."""
        height, width = self.image_hw
        input_height, input_width = self.input_hw
        return x_px * (input_width / width), y_px * (input_height / height)

    def background_to_model(self, x_px: float, y_px: float) -> tuple[float, float]:
        """Take the middle of the click's pixel where pixels are enlarged (sam/coordinates.py)."""
        (height, width), (input_height, input_width) = self.image_hw, self.input_hw
        if input_width > width or input_height > height:
            row, column = self.pixel_at(x_px, y_px)
            return self.to_model(column + 0.5, row + 0.5)
        return self.to_model(x_px, y_px)

    def pixel_at(self, x_px: float, y_px: float) -> tuple[int, int]:
        """Row and column of the pixel that a point of the photo, its far edges too, lies in."""
        height, width = self.image_hw
        return min(int(y_px), height - 1), min(int(x_px), width - 1)


def build_prompts(
    points: Sequence[PointPrompt], box: BoxPrompt | None, *, frame: DecoderFrame
) -> tuple[FloatArray, FloatArray]:
    """Point coordinates (1, N, 2) in the model frame and labels (1, N): points, then the box.

    A padding point is appended only when there is no box (released ONNX rule).
    """
    coords = [
        frame.to_model(point.x_px, point.y_px)
        if point.label
        else frame.background_to_model(point.x_px, point.y_px)
        for point in points
    ]
    labels = [point.label for point in points]
    if box is None:
        coords.append((0.0, 0.0))
        labels.append(LABEL_PADDING)
    else:
        coords += [frame.to_model(box.x0_px, box.y0_px), frame.to_model(box.x1_px, box.y1_px)]
        labels += [LABEL_BOX_TOP_LEFT, LABEL_BOX_BOTTOM_RIGHT]
    return np.array([coords], np.float32), np.array([labels], np.float32)


def choose_masks(
    predicted_iou: FloatArray, *, num_prompts: int, is_crossed: Callable[[int], bool] | None = None
) -> list[int]:
    """Indices of the masks to offer, best first.

    One click is ambiguous: masks 1..3 by predicted IoU, those that hold a background click
    (is_crossed) last. More, or a box, which counts as two: mask 0 (sam/prompting/selection.py).
    """
    if num_prompts > 1:
        return [0]
    crossed = {index for index in (1, 2, 3) if is_crossed is not None and is_crossed(index)}
    return sorted(
        (1, 2, 3), key=lambda index: (index in crossed, -float(predicted_iou[index]), index)
    )


def interpolation_matrix(num_in: int, num_out: int) -> FloatArray:
    """(num_out, num_in) weights of a bilinear resize of one axis, align_corners=False."""
    position = np.maximum((np.arange(num_out) + 0.5) * (num_in / num_out) - 0.5, 0.0)
    lower = np.minimum(np.floor(position).astype(np.intp), num_in - 1)
    upper = np.minimum(lower + 1, num_in - 1)
    weight = (position - lower).astype(np.float32)
    matrix = np.zeros((num_out, num_in), np.float32)
    rows = np.arange(num_out)
    matrix[rows, lower] += 1.0 - weight
    matrix[rows, upper] += weight
    return matrix


def to_image_mask(low_res_logits: FloatArray, *, frame: DecoderFrame) -> npt.NDArray[np.bool_]:
    """(H, W) bool mask of the photo from (S/4, S/4) logits.

    Upscales to the padded square, crops the padding, resizes to the photo, then thresholds. All
    three are linear along one axis each, so one matrix per axis does them.
    """
    low_height, low_width = low_res_logits.shape
    (height, width), (input_height, input_width) = frame.image_hw, frame.input_hw
    size = frame.image_size_px
    down = (
        interpolation_matrix(input_height, height)
        @ (interpolation_matrix(low_height, size)[:input_height])
    )
    across = (
        interpolation_matrix(input_width, width)
        @ (interpolation_matrix(low_width, size)[:input_width])
    )
    half_way = low_res_logits @ across.T  # (low_height, W)
    mask = np.empty((height, width), bool)
    for top in range(0, height, ROWS_AT_ONCE):
        rows = slice(top, top + ROWS_AT_ONCE)
        np.greater(down[rows] @ half_way, MASK_THRESHOLD_LOGIT, out=mask[rows])
    return mask


@lru_cache(maxsize=CACHED_SESSIONS)
def _session(decoder_sha256: str, path: Path) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # requests already run side by side
    try:
        return onnxruntime.InferenceSession(
            str(path), sess_options=options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # onnxruntime raises its own unexported classes
        raise DecodingError(f"decoder {decoder_sha256[:12]} cannot be loaded: {error}") from error


def load_embedding(path: Path) -> dict[str, FloatArray]:
    """Tensors of a stored embedding as float32 with a batch axis."""
    try:
        tensors = load_file(str(path))
    except (OSError, SafetensorError) as error:
        raise DecodingError(f"embedding {path.name} cannot be read: {error}") from error
    return {name: tensor.astype(np.float32)[None] for name, tensor in tensors.items()}


@dataclass(frozen=True, slots=True)
class Decoder:
    """One decoder on one photo's embedding."""

    session: onnxruntime.InferenceSession
    embedding: Mapping[str, FloatArray]
    frame: DecoderFrame
    low_res_side: int
    name: str

    def answer(
        self,
        points: Sequence[PointPrompt],
        box: BoxPrompt | None,
        seed: FloatArray | None = None,
    ) -> list[tuple[Mask, float]]:
        """Masks (H, W) with predicted IoU, best first: three for one prompt, else one."""
        coords, labels = build_prompts(points, box, frame=self.frame)
        blank = np.zeros((self.low_res_side, self.low_res_side), np.float32)
        feeds: Mapping[str, Any] = {
            **self.embedding,
            "point_coords": coords,
            "point_labels": labels,
            "mask_input": blank[None, None] if seed is None else seed[None, None],
            "has_mask_input": np.full(1, seed is not None, np.float32),
        }
        wanted = {node.name for node in self.session.get_inputs()}
        try:
            low_res, scores = self.session.run(
                ["low_res_masks", "iou_predictions"],
                {name: tensor for name, tensor in feeds.items() if name in wanted},
            )
        except Exception as error:  # see _session
            raise DecodingError(f"decoder {self.name} failed: {error}") from error
        num_prompts = len(points) + 2 * (box is not None) + 2 * (seed is not None)
        background = [
            self.frame.pixel_at(point.x_px, point.y_px) for point in points if point.label == 0
        ]

        @cache
        def mask_of(index: int) -> Mask:
            return to_image_mask(low_res[0, index], frame=self.frame)

        chosen = choose_masks(
            scores[0],
            num_prompts=num_prompts,
            is_crossed=lambda index: any(mask_of(index)[pixel] for pixel in background),
        )
        return [(mask_of(index), float(scores[0, index])) for index in chosen]

    def change(
        self, under: Mask, points: Sequence[PointPrompt], box: BoxPrompt | None
    ) -> list[tuple[Mask, float]]:
        """Change an existing mask (H, W) by its last prompt: the local edit first, if there is one.

        The page does the same in frontend/src/decoder/session.ts.
        """
        frame, rle = self.frame, Rle.encode(under)
        stride = frame.image_size_px // self.low_res_side
        covered = seeds.coverage(
            under, input_hw=frame.input_hw, side=self.low_res_side, stride_px=stride
        )
        logits = seeds.seed_logits(covered)
        if box is not None or not points:
            return self.answer(points[-1:] if box is None else [], box, logits)
        click = points[-1]
        xy, adds = (click.x_px, click.y_px), click.label == 1
        (height, width), (input_height, input_width) = frame.image_hw, frame.input_hw
        cell_wh_px = (stride * width / input_width, stride * height / input_height)
        context = seeds.context_of(
            covered,
            rle.bbox_xywh_px,
            image_hw=frame.image_hw,
            cell_wh_px=cell_wh_px,
            click_xy_px=xy,
            adds=adds,
        )
        deep = PointPrompt(x_px=context.point_xy_px[0], y_px=context.point_xy_px[1], label=1)
        x0, y0, x1, y1 = context.box_xyxy_px
        around = BoxPrompt(x0_px=x0, y0_px=y0, x1_px=x1, y1_px=y1)
        whole, predicted_iou = self.answer([click, deep], around, logits)[0]
        edited = seeds.local_edit(under, whole, click_xy_px=xy, adds=adds)
        is_heard = edited is not None and (
            adds or not seeds.is_pinhole(under, edited, click_xy_px=xy, cell_wh_px=cell_wh_px)
        )
        if not is_heard and not (adds and under[frame.pixel_at(*xy)]):
            alone, _ = self.answer([PointPrompt(x_px=xy[0], y_px=xy[1], label=1)], None)[0]
            wanted = alone if adds else under & ~alone
            by_click = seeds.local_edit(under, wanted, click_xy_px=xy, adds=adds)
            edited = edited if by_click is None else by_click
        local = [] if edited is None else [(edited, predicted_iou)]
        return [*local, (whole, predicted_iou)]


def decode(
    points: Sequence[PointPrompt],
    box: BoxPrompt | None,
    *,
    under: Rle | None = None,
    image_hw: tuple[int, int],
    close_up_xywh_px: tuple[int, int, int, int] | None = None,
    image_size_px: int,
    low_res_side: int,
    decoder_sha256: str,
    decoder_path: Path,
    embedding_path: Path,
) -> list[Candidate]:
    """Masks for the prompts (image pixels), best first: three for one prompt, else one.

    under: an existing mask that the last prompt changes; its local edit comes first.
    close_up_xywh_px: the square of the photo that the embedding shows, which holds the prompts;
    pixels outside it stay as they are.
    """
    seen_xywh_px = close_up_xywh_px or (0, 0, image_hw[1], image_hw[0])
    x, y, width, height = seen_xywh_px
    square = pixels_of(seen_xywh_px)
    decoder = Decoder(
        session=_session(decoder_sha256, decoder_path),
        embedding=load_embedding(embedding_path),
        frame=DecoderFrame((height, width), image_size_px),
        low_res_side=low_res_side,
        name=decoder_sha256[:12],
    )
    points = [replace(one, x_px=one.x_px - x, y_px=one.y_px - y) for one in points]
    box = box and BoxPrompt(
        x0_px=box.x0_px - x, y0_px=box.y0_px - y, x1_px=box.x1_px - x, y1_px=box.y1_px - y
    )
    photo = np.zeros(image_hw, bool) if under is None else under.decode()
    if under is None:
        found = decoder.answer(points, box)
    else:
        found = decoder.change(photo[square].copy(), points, box)
    candidates = []
    for mask, predicted_iou in found:
        photo[square] = mask
        candidates.append(Candidate(Rle.encode(photo), predicted_iou))
    return candidates
