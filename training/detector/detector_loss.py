"""What the object detector learns: which positions answer for which box, and how wrong they are.

Boxes and positions are in the model frame (px of the padded square).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from sam.detection.object_detector import LevelOutput, ObjectDetector
from sam.modeling.features import ImageFeatures
from training.loop.precision import step_autocast

# Largest box side that a level answers for, in its strides; the last level takes all that is left.
MAX_SIDE_STRIDES = 8.0
CENTER_RADIUS_STRIDES = 1.5  # FCOS, center sampling
NEGATIVE_FOCUS = 2.0  # power of the score in the weight of a negative, as in focal loss
KNOWN_REGION_SCALE = 2.0
MIN_POSITIVES = 9  # the positions of one object: fewer would make its image's loss erratic


@dataclass(frozen=True, slots=True, kw_only=True)
class FlatOutput:
    """All levels side by side: P positions.

    score_logits: (B, P); boxes_xyxy: (B, P, 4); centers_xy: (P, 2); strides_px: (P,).
    """

    score_logits: Tensor
    boxes_xyxy: Tensor
    centers_xy: Tensor
    strides_px: Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class Targets:
    """What the positions of one image should say.

    box_index: (P,) index of the box a position answers for, -1 for none.
    negative_weight: (P,) weight of "nothing here"; 0 at positives and on the padding.
    """

    box_index: Tensor
    negative_weight: Tensor


def flatten_levels(levels: Sequence[LevelOutput]) -> FlatOutput:
    """Put the positions of all levels into one axis, finest level first."""
    strides = [
        level.score_logits.new_full((level.score_logits[0].numel(),), float(level.stride_px))
        for level in levels
    ]
    return FlatOutput(
        score_logits=torch.cat([level.score_logits.flatten(1) for level in levels], dim=1),
        boxes_xyxy=torch.cat([level.boxes_xyxy.flatten(1, 2) for level in levels], dim=1),
        centers_xy=torch.cat([level.centers_xy.flatten(0, 1) for level in levels]),
        strides_px=torch.cat(strides),
    )


def assign_targets(
    output: FlatOutput,
    *,
    boxes_xyxy: Tensor,
    input_hw: tuple[int, int],
    unknown_weight: float,
) -> Targets:
    """Decide which positions answer for the (M, 4) boxes of one image.

    A box belongs to the level of its size, and there to the positions near its centre; where boxes
    compete the smallest wins. People label a part of what is in an image, so "nothing here" is
    certain only around a labelled object of the same size class (twice its box); elsewhere it
    weighs `unknown_weight`. input_hw: the part of the square that holds the image.
    """
    centers, strides = output.centers_xy, output.strides_px
    inside = (centers[:, 0] < input_hw[1]) & (centers[:, 1] < input_hw[0])
    weight = torch.full_like(strides, unknown_weight)
    if len(boxes_xyxy) == 0:
        none = torch.full_like(strides, -1, dtype=torch.long)
        return Targets(box_index=none, negative_weight=weight * inside)
    of_level = _level_match(strides, boxes_xyxy=boxes_xyxy)
    offset = (centers[:, None] - _centers(boxes_xyxy)[None]).abs()
    half_size = (boxes_xyxy[:, 2:] - boxes_xyxy[:, :2])[None] / 2
    known = (of_level & (offset <= half_size * KNOWN_REGION_SCALE).all(-1)).any(1)
    weight[known] = 1.0
    # Half a stride of grace: a small object must own at least the position nearest its centre.
    reach = torch.minimum(
        half_size + strides[:, None, None] / 2, CENTER_RADIUS_STRIDES * strides[:, None, None]
    )
    near = of_level & (offset <= reach).all(-1) & inside[:, None]
    area = (half_size.prod(-1) * 4).expand_as(near)
    smallest = torch.where(near, area, torch.inf).min(dim=1)
    box_index = torch.where(near.any(1), smallest.indices, -1)
    return Targets(box_index=box_index, negative_weight=weight * inside * (box_index < 0))


def detection_loss(
    output: FlatOutput, *, targets: Sequence[Targets], boxes_xyxy: Sequence[Tensor]
) -> dict[str, Tensor]:
    """Return the loss of a batch: `loss` and its parts `score` and `box` (1 - GIoU).

    Scores of positives learn the IoU of their own box (detached). Parts are means over the
    positives of an image, then over images: a shelf of books must not drown a cup.
    """
    score = output.score_logits.new_zeros(())
    box = output.score_logits.new_zeros(())
    for index, (target, truth) in enumerate(zip(targets, boxes_xyxy, strict=True)):
        logits = output.score_logits[index]
        positive = target.box_index >= 0
        share = 1 / (len(targets) * max(MIN_POSITIVES, int(positive.sum())))
        negative_loss = F.softplus(logits) * logits.detach().sigmoid() ** NEGATIVE_FOCUS
        score = score + share * (negative_loss * target.negative_weight).sum()
        if positive.any():
            predicted = output.boxes_xyxy[index][positive]
            wanted = truth[target.box_index[positive]]
            iou, giou = _paired_iou(predicted, wanted)
            box = box + share * (1 - giou).sum()
            score = score + share * F.binary_cross_entropy_with_logits(
                logits[positive], iou.detach(), reduction="sum"
            )
    return {"loss": score + 2 * box, "score": score, "box": box}


def add_gradients(
    detector: ObjectDetector,
    features: ImageFeatures,
    *,
    boxes_xyxy: Sequence[Tensor],
    input_hw: Sequence[tuple[int, int]],
    unknown_weight: float,
) -> dict[str, float]:
    """Add the gradients of a batch to the detector's; return its loss and the loss's parts.

    boxes_xyxy, input_hw: of each image, as `assign_targets`.
    """
    with step_autocast(features.image_embeddings.device):
        levels = detector(features)
    output = flatten_levels(levels)
    targets = [
        assign_targets(output, boxes_xyxy=boxes, input_hw=hw, unknown_weight=unknown_weight)
        for boxes, hw in zip(boxes_xyxy, input_hw, strict=True)
    ]
    parts = detection_loss(output, targets=targets, boxes_xyxy=boxes_xyxy)
    parts["loss"].backward()  # type: ignore[no-untyped-call]
    return {name: value.item() for name, value in parts.items()}


def _level_match(strides: Tensor, *, boxes_xyxy: Tensor) -> Tensor:
    side = (boxes_xyxy[:, 2:] - boxes_xyxy[:, :2]).amax(1)[None]
    finest, coarsest = strides.min(), strides.max()
    stride = strides[:, None]
    above = (stride == finest) | (side > stride / 2 * MAX_SIDE_STRIDES)
    below = (stride == coarsest) | (side <= stride * MAX_SIDE_STRIDES)
    return above & below


def _centers(boxes_xyxy: Tensor) -> Tensor:
    return (boxes_xyxy[:, :2] + boxes_xyxy[:, 2:]) / 2


def _paired_iou(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    overlap = (torch.minimum(a[:, 2:], b[:, 2:]) - torch.maximum(a[:, :2], b[:, :2])).clamp(min=0)
    intersection = overlap.prod(1)
    area_a, area_b = (a[:, 2:] - a[:, :2]).prod(1), (b[:, 2:] - b[:, :2]).prod(1)
    union = (area_a + area_b - intersection).clamp(min=1e-6)
    hull = torch.maximum(a[:, 2:], b[:, 2:]) - torch.minimum(a[:, :2], b[:, :2])
    hull_area = hull.prod(1).clamp(min=1e-6)
    iou = intersection / union
    return iou, iou - (hull_area - union) / hull_area
