"""People's prompts, in the image's pixels: checked, and brought into the model's square.

What is wrong is said in one line, with the number of the point, box or row.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence, Sized
from dataclasses import dataclass
from typing import TypeGuard, cast

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from masks import seeds
from sam.coordinates import Floats, Frame, as_array, as_numbers, as_tensor
from sam.modeling.config import SamConfig
from sam.prompting.selection import PROMPTS_PER_BOX, PROMPTS_PER_MASK
from sam.prompts import PADDING_LABEL, PromptError, Prompts, require_same_number


@dataclass(frozen=True, slots=True)
class PromptInputs:
    """Reads prompts for one image and one model. Its methods raise PromptError."""

    frame: Frame
    config: SamConfig
    device: torch.device

    def one(
        self,
        coords: ArrayLike | None,
        labels: ArrayLike | None,
        box: ArrayLike | None,
        mask: ArrayLike | None,
    ) -> tuple[Prompts, int]:
        """Read one prompt set; return it and how many prompts it counts as (see `selection`)."""
        points, marks, corners, logits = None, None, None, None
        num_prompts = 0
        if coords is not None:
            points, marks = self._points(coords, labels)
            num_prompts += int((marks != PADDING_LABEL).sum())
        elif labels is not None:
            raise PromptError("there are point labels but no points")
        if box is not None:
            corners = as_tensor(self.frame.boxes_to_model(box), device=self.device)
            if corners.shape != (4,):
                raise PromptError(f"a box is four numbers, got shape {tuple(corners.shape)}")
            corners = corners.reshape(1, 4)
            num_prompts += PROMPTS_PER_BOX
        if mask is not None:
            logits = self._masks(mask, what="mask_input")
            num_prompts += PROMPTS_PER_MASK
        prompts = Prompts.make(points, marks, corners, logits)
        _require_some(prompts, [0])
        return prompts, num_prompts

    def many(
        self,
        coords: ArrayLike | None,
        labels: ArrayLike | None,
        boxes: ArrayLike | None,
        masks: ArrayLike | None,
    ) -> list[tuple[Sequence[int], Prompts]]:
        """Read N prompt sets; return batches of equally many points, and which rows they are.

        Sets are not padded to the longest: padding points are tokens too, and answers would differ
        from those to each set alone.
        """
        corners, logits = None, None
        if boxes is not None:
            corners = as_tensor(self.frame.boxes_to_model(boxes), device=self.device)
            if corners.ndim != 2:
                raise PromptError(f"boxes must be (N, 4), got shape {tuple(corners.shape)}")
        if masks is not None:
            logits = self._masks(masks, what="mask_inputs")
        if coords is not None and _has_several_lengths(coords):
            return self._by_length(coords, labels, corners, logits)
        points, marks = None, None
        if coords is not None:
            points, marks = self._points_of_many(coords, labels)
        elif labels is not None:
            raise PromptError("there are point labels but no points")
        prompts = Prompts.make(points, marks, corners, logits)
        rows = range(len(prompts))
        _require_some(prompts, rows)
        return [(rows, prompts)]

    def _by_length(
        self,
        coords: Sequence[ArrayLike],
        labels: ArrayLike | None,
        boxes: Tensor | None,
        masks: Tensor | None,
    ) -> list[tuple[Sequence[int], Prompts]]:
        sets = self._rows_of_points(coords, labels)
        require_same_number(sets, boxes, masks)
        by_length: defaultdict[int, list[int]] = defaultdict(list)
        for row, (points, _) in enumerate(sets):
            by_length[points.shape[1]].append(row)
        batches: list[tuple[Sequence[int], Prompts]] = []
        for rows in by_length.values():
            prompts = Prompts.make(
                torch.cat([sets[row][0] for row in rows]),
                torch.cat([sets[row][1] for row in rows]),
                None if boxes is None else boxes[rows],
                None if masks is None else masks[rows],
            )
            _require_some(prompts, rows)
            batches.append((rows, prompts))
        return batches

    def _rows_of_points(
        self, coords: Sequence[ArrayLike], labels: ArrayLike | None
    ) -> list[tuple[Tensor, Tensor]]:
        """Return what `_points` makes of each row."""
        if not isinstance(labels, Sequence | np.ndarray) or len(labels) != len(coords):
            raise PromptError(f"{len(coords)} lists of points need as many lists of labels")
        sets = []
        for row, (points, marks) in enumerate(zip(coords, labels, strict=True)):
            try:
                sets.append(self._points(points, cast(ArrayLike, marks)))
            except PromptError as error:
                raise PromptError(f"row {row}: {error}") from None
        return sets

    def _points(self, coords: ArrayLike, labels: ArrayLike | None) -> tuple[Tensor, Tensor]:
        """Return (1, P, 2) model points and (1, P) labels."""
        points = self._model_points(coords, labels)
        if points.ndim != 2:
            raise PromptError(f"points must be (P, 2), got shape {points.shape}")
        return self._tensors(points[None], _labels(labels, points.shape[:-1])[None])

    def _points_of_many(self, coords: ArrayLike, labels: ArrayLike | None) -> tuple[Tensor, Tensor]:
        """Return (N, P, 2) model points and (N, P) labels; (N, 2) points are one each."""
        try:
            points = self._model_points(coords, labels)
            if points.ndim not in (2, 3):
                raise PromptError(f"points must be (N, 2) or (N, P, 2), got shape {points.shape}")
            marks = _labels(labels, points.shape[:-1])
        except PromptError:
            if np.ndim(coords) == 3 and labels is not None:
                self._rows_of_points(list(np.asarray(coords)), labels)  # says which row it is
            raise
        num = len(points)
        return self._tensors(points.reshape(num, -1, 2), marks.reshape(num, -1))

    def _model_points(self, coords: ArrayLike, labels: ArrayLike | None) -> Floats:
        """Return points (..., 2) in the model's square; padding may lie anywhere, even at NaN."""
        points = as_numbers(coords, what="points")
        if points.shape == (0,) or (points.ndim > 1 and points.shape[-2] == 0):
            raise PromptError("the list of points is empty")
        try:
            marks = as_numbers(cast(ArrayLike, labels), what="labels", kinds="biuf")
        except PromptError:  # wrong labels are told after wrong points
            return self.frame.to_model(points)
        if not points.ndim or marks.shape != points.shape[:-1]:
            return self.frame.to_model(points)
        points = np.where((marks == PADDING_LABEL)[..., None], 0.0, points)
        if self.config.decoder.prompt_maps:
            return self.frame.clicks_to_model(points, marks)
        return self.frame.to_model(points)

    def _tensors(self, points: Floats, labels: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        return as_tensor(points, device=self.device), torch.as_tensor(labels, device=self.device)

    def _masks(self, values: ArrayLike, *, what: str) -> Tensor:
        """Return (N, 1, S/4, S/4) logits of masks to refine; of one mask for "mask_input"."""
        array = as_array(values, what=what, kinds="biuf")
        if array.size and array.dtype.kind in "iu":
            raise PromptError(
                f"{what} holds whole numbers ({array.dtype}): pass a mask of the image as bool "
                "(mask.astype(bool)), or an earlier prediction's low_res_logits as they are"
            )
        logits = self._seeds(array, what=what) if array.dtype.kind == "b" else array
        size = self.config.low_res_size
        if what == "mask_input":
            if logits.shape not in {(size, size), (1, size, size)}:
                raise PromptError(f"mask_input must be ({size}, {size}) logits, got {array.shape}")
            logits = logits.reshape(1, size, size)
        if logits.ndim != 3 or logits.shape[1:] != (size, size):
            raise PromptError(f"{what} must be (N, {size}, {size}) logits, got {array.shape}")
        if not np.isfinite(logits).all():
            raise PromptError(f"{what} must be finite numbers")
        return as_tensor(logits.astype(np.float64), device=self.device)[:, None]

    def _seeds(self, masks: NDArray[np.bool_], *, what: str) -> NDArray[np.float32]:
        """Return the logits (..., S/4, S/4) that masks of the image (..., H, W) are shown as."""
        height, width = self.frame.image_hw
        if masks.ndim < 2 or masks.shape[-2:] != (height, width):
            raise PromptError(
                f"{what} of bool must have the image's size, ({height}, {width}), got "
                f"{masks.shape}; logits of an earlier prediction are floats"
            )
        flat = masks.reshape(-1, height, width)
        for row, mask in enumerate(flat):
            if not mask.any():
                raise PromptError(f"there is nothing to refine: mask {row} of {what} is empty")
        side, stride_px = self.config.low_res_size, self.config.low_res_stride_px
        covered = [
            seeds.coverage(mask, input_hw=self.frame.input_hw, side=side, stride_px=stride_px)
            for mask in flat
        ]
        return seeds.seed_logits(np.array(covered)).reshape(*masks.shape[:-2], side, side)


def _labels(labels: ArrayLike | None, shape: tuple[int, ...]) -> NDArray[np.int64]:
    if labels is None:
        raise PromptError("points need labels: 1 for object, 0 for background")
    array = as_numbers(labels, what="labels", kinds="biuf")
    if array.shape != shape:
        raise PromptError(f"points of shape {shape} need as many labels, got {array.shape}")
    wrong = ~np.isin(array, (0, 1, PADDING_LABEL)).ravel()
    if wrong.any():
        where = int(wrong.argmax())
        raise PromptError(
            "a point's label is 1 for object, 0 for background or -1 for no point, "
            f"number {where} is {array.ravel()[where]:g}"
        )
    return array.astype(np.int64)


def _has_several_lengths(rows: ArrayLike) -> TypeGuard[Sequence[ArrayLike]]:
    """Say whether these are lists of points of which some are longer than others."""
    if not isinstance(rows, Sequence):
        return False
    return len({len(row) for row in rows if isinstance(row, Sized)}) > 1


def _require_some(prompts: Prompts, rows: Sequence[int]) -> None:
    """Raise PromptError for a set of padding alone. rows: what the sets are called."""
    is_empty = (prompts.point_labels == PADDING_LABEL).all(1)
    if prompts.low_res_logits is None and is_empty.any():
        raise PromptError(
            f"row {rows[int(is_empty.int().argmax())]} has nothing but padding points (-1): "
            "a prompt needs points, a box or a mask"
        )
