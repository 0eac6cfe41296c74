"""Realistic masks for models with random weights: regions of an image, as sharp as chance has it.

Random weights make noise, on which automatic generation would drop everything or nothing. The
decoder still runs; what it says is replaced, point by point, the same for both sides.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage
from torch import Tensor

from sam.coordinates import Frame
from sam.crop_boxes import grid_points
from sam.prompts import Decoded

LOW_RES = 256
_BLURS_PX = (1.0, 3.0, 8.0)  # part, whole and group of a region
_LEVELS = 9


class CannedMasks:
    """Three masks and their predicted IoU for every point of a grid over an image."""

    def __init__(self, image_hwc_u8: NDArray[np.uint8], *, points_per_side: int) -> None:
        height, width = image_hwc_u8.shape[:2]
        frame = Frame((height, width), 4 * LOW_RES)
        rows, columns = (-(-side // 4) for side in frame.input_hw)
        small = Image.fromarray(image_hwc_u8).convert("L").resize((columns, rows))
        grey = np.asarray(small, dtype=np.float32)
        points = grid_points(points_per_side) * [width, height]
        cells = np.minimum(frame.to_model(points) // 4, [columns - 1, rows - 1]).astype(int)
        self._distances: list[Tensor] = []
        which = np.zeros((len(points), 3), dtype=int)
        for index, blur_px in enumerate(_BLURS_PX):
            level = np.floor(ndimage.gaussian_filter(grey, blur_px) / 256 * _LEVELS)
            labels = sum(  # regions of one brightness, numbered through
                (ndimage.label(level == value)[0] + 100_000 * (value + 1)) * (level == value)
                for value in range(_LEVELS)
            )
            at_points = labels[cells[:, 1], cells[:, 0]]
            for label in np.unique(at_points):
                which[at_points == label, index] = len(self._distances)
                self._distances.append(_signed_distance(labels == label))
        random = np.random.default_rng(0)
        self._which = which
        slopes = np.exp(random.uniform(np.log(0.5), np.log(20.0), which.shape))
        self._slopes = torch.from_numpy(slopes.astype(np.float32))
        iou = random.uniform(0.70, 1.02, which.shape).astype(np.float32)
        self.iou = torch.from_numpy(iou)
        self.seconds = 0.0
        self._next = self._first = 0

    def restart(self) -> None:
        """Begin again with the first point."""
        self.seconds, self._next, self._first = 0.0, 0, 0

    def answer(self, num: int) -> tuple[Tensor, Tensor]:
        """Return logits (num, 3, 256, 256) and predicted IoU (num, 3) of the next points."""
        iou = self.ious(num)
        return self.logits(torch.arange(num))[:, 1:], iou

    def ious(self, num: int) -> Tensor:
        """Return the predicted IoU of the next points: (num, 3)."""
        self._first, self._next = self._next, self._next + num
        return self.iou[self._first : self._next]

    def logits(self, rows: Tensor) -> Tensor:
        """Return the masks of some of the points that `ious` answered last: (num, 4, 256, 256).

        The first of the four, the single mask, holds nothing.
        """
        started = time.perf_counter()
        out = torch.empty(len(rows), 4, LOW_RES, LOW_RES)
        for place, row in enumerate((rows + self._first).tolist()):
            for index in range(3):
                distance = self._distances[self._which[row, index]]
                torch.mul(distance, self._slopes[row, index], out=out[place, 1 + index])
        self.seconds += time.perf_counter() - started
        return out


def _signed_distance(region: NDArray[np.bool_]) -> Tensor:
    inside = ndimage.distance_transform_edt(region)
    outside = ndimage.distance_transform_edt(~region)
    signed = np.full((LOW_RES, LOW_RES), -50.0, dtype=np.float32)
    signed[: region.shape[0], : region.shape[1]] = inside - outside
    return torch.from_numpy(signed)


def replace_theirs(reference: Any, canned: CannedMasks, *, with_model: bool) -> None:
    """Let segment-anything's decoder say what is canned, after its own work or instead of it."""
    run = reference.mask_decoder.forward

    def forward(**given: Any) -> tuple[Tensor, Tensor]:
        if with_model:
            run(**given)
        return canned.answer(len(given["sparse_prompt_embeddings"]))

    reference.mask_decoder.forward = forward
    if not with_model:
        features = torch.zeros(1, 256, LOW_RES // 4, LOW_RES // 4)
        reference.image_encoder.forward = lambda _: features


def replace_ours(ours: Any, canned: CannedMasks, *, with_model: bool) -> None:
    """Do the same with ours, without taking away that untrusted masks are not painted."""
    decoder = ours.mask_decoder
    if with_model:
        decoder.iou_prediction_head.register_forward_hook(
            lambda _module, _given, out: torch.cat([out[:, :1], canned.ious(len(out))], dim=1)
        )

        def with_canned(_module: Any, _given: Any, out: Decoded) -> Decoded:
            assert out.rows is not None
            return Decoded(canned.logits(out.rows), out.predicted_iou, out.rows)

        decoder.register_forward_hook(with_canned)
        return

    def decode(_features: Any, prompts: Any, *, min_iou: float) -> Decoded:
        iou = canned.ious(len(prompts))
        rows = (iou > min_iou).any(1).nonzero().flatten()
        return Decoded(canned.logits(rows), torch.nn.functional.pad(iou[rows], (1, 0)), rows)

    ours.decode = decode
    ours.encode = lambda _: None
