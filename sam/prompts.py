"""Prompts and decoder outputs as batches of tensors.

The padding rule of the official decoder has its one home here.
"""

from __future__ import annotations

from collections.abc import Sequence, Sized
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from sam.tracing import is_tracing

PADDING_LABEL = -1
BOX_LABELS = (2, 3)


class PromptError(ValueError):
    """A prompt that cannot be decoded; the message says what is wrong and where."""


@dataclass(frozen=True, slots=True)
class Prompts:
    """N prompt sets for one image, each of P points.

    point_coords: (N, P, 2) x, y in model pixels.
    point_labels: (N, P); 0 background, 1 foreground, 2 and 3 box corners, -1 padding.
    low_res_logits: (N, 1, S/4, S/4) masks to refine, or None.
    has_mask: (N,) 0 or 1, which rows of low_res_logits count; None means all.
    """

    point_coords: Tensor
    point_labels: Tensor
    low_res_logits: Tensor | None = None
    has_mask: Tensor | None = None

    def are_foreground_clicks(self) -> bool:
        """Tell whether every set has foreground clicks and nothing else but padding."""
        labels = self.point_labels
        is_click = labels == 1
        return bool((is_click | (labels == PADDING_LABEL)).all() & is_click.any(1).all())

    @classmethod
    def make(
        cls,
        points: Tensor | None = None,
        labels: Tensor | None = None,
        boxes: Tensor | None = None,
        low_res_logits: Tensor | None = None,
    ) -> Prompts:
        """Join points (N, P, 2), labels (N, P) and boxes (N, 4) xyxy, all in model pixels.

        A padding point (0, 0)/-1 follows the points when there is no box, as in the official
        prompt encoder; box corners come last. Raises PromptError when shapes disagree.
        """
        coords_parts: list[Tensor] = []
        label_parts: list[Tensor] = []
        if points is not None:
            if labels is None or points.ndim != 3 or points.shape[:2] != labels.shape:
                raise PromptError("points must be (N, P, 2) and labels (N, P)")
            given = cls(points, labels)
            given = given.padded() if boxes is None else given
            coords_parts.append(given.point_coords)
            label_parts.append(given.point_labels)
        if boxes is not None:
            coords_parts.append(boxes.reshape(-1, 2, 2))
            dtype = torch.int64 if labels is None else labels.dtype
            corners = torch.tensor([BOX_LABELS], dtype=dtype, device=boxes.device)
            label_parts.append(corners.expand(coords_parts[-1].shape[0], -1))
        if not coords_parts:
            if low_res_logits is None:
                raise PromptError("a prompt needs points, a box or a mask")
            num = low_res_logits.shape[0]
            empty = low_res_logits.new_zeros(num, 0, 2)
            return cls(empty, empty.new_zeros(num, 0, dtype=torch.int64), low_res_logits)
        require_same_number(*coords_parts, low_res_logits)
        return cls(torch.cat(coords_parts, 1), torch.cat(label_parts, 1), low_res_logits)

    @classmethod
    def concat(cls, parts: Sequence[Prompts]) -> Prompts:
        """Join prompt sets with equally many points; one click and one box both make two."""
        masks = [part.low_res_logits for part in parts]
        present = [mask for mask in masks if mask is not None]
        low_res, has_mask = None, None
        if present:
            size = present[0].shape[1:]
            filled = [
                part.point_coords.new_zeros(len(part), *size) if mask is None else mask
                for part, mask in zip(parts, masks, strict=True)
            ]
            low_res = torch.cat(filled)
            has_mask = torch.cat([part._mask_flags() for part in parts])
        return cls(
            torch.cat([part.point_coords for part in parts]),
            torch.cat([part.point_labels for part in parts]),
            low_res,
            has_mask,
        )

    def padded(self) -> Prompts:
        """Append one padding point to every prompt set."""
        num = self.point_coords.shape[0]  # not len(self): exported, it would be a constant
        coords = torch.cat([self.point_coords, self.point_coords.new_zeros(num, 1, 2)], 1)
        padding = self.point_labels.new_full((num, 1), PADDING_LABEL)
        labels = torch.cat([self.point_labels, padding], 1)
        return replace(self, point_coords=coords, point_labels=labels)

    def with_a_point(self) -> Prompts:
        """Return sets with a padding point where they have no points at all, to reduce over."""
        if not is_tracing():
            return self if self.point_coords.shape[1] else self.padded()
        padded = self.padded()
        num_points = torch.as_tensor(self.point_coords.shape[1]).clamp(min=1)
        return replace(
            padded,
            point_coords=padded.point_coords[:, :num_points],
            point_labels=padded.point_labels[:, :num_points],
        )

    def rows(self, which: slice) -> Prompts:
        """Return some of the prompt sets."""
        low_res, has_mask = self.low_res_logits, self.has_mask
        return Prompts(
            self.point_coords[which],
            self.point_labels[which],
            None if low_res is None else low_res[which],
            None if has_mask is None else has_mask[which],
        )

    def __len__(self) -> int:
        return self.point_coords.shape[0]

    def _mask_flags(self) -> Tensor:
        if self.has_mask is not None:
            return self.has_mask
        value = 0.0 if self.low_res_logits is None else 1.0
        return self.point_coords.new_full((len(self),), value)


def require_same_number(*parts: Sized | None) -> None:
    """Raise PromptError unless points, boxes and masks are for the same number of prompt sets."""
    nums = {len(part) for part in parts if part is not None}
    if len(nums) > 1:
        raise PromptError(f"points, boxes and masks disagree on their number: {sorted(nums)}")


@dataclass(frozen=True, slots=True)
class Decoded:
    """Decoder outputs; index 0 is the single mask, 1 to 3 the ambiguity masks.

    low_res_logits: (N, 4, S/4, S/4). predicted_iou: (N, 4), not squashed to [0, 1].
    rows: (N,) which of the prompt sets these are, when some were left out; None means all.
    """

    low_res_logits: Tensor
    predicted_iou: Tensor
    rows: Tensor | None = None

    def float(self) -> Decoded:
        """Return logits and predicted IoU in float32."""
        return replace(
            self,
            low_res_logits=self.low_res_logits.float(),
            predicted_iou=self.predicted_iou.float(),
        )

    @classmethod
    def concat(cls, parts: Sequence[Decoded], first_rows: Sequence[int]) -> Decoded:
        """Join what was decoded in parts; first_rows: where each part's prompt sets begin."""
        rows = [part.rows for part in parts]
        joined = [
            row + first for row, first in zip(rows, first_rows, strict=True) if row is not None
        ]
        return cls(
            torch.cat([part.low_res_logits for part in parts]),
            torch.cat([part.predicted_iou for part in parts]),
            torch.cat(joined) if joined else None,
        )
