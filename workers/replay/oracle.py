"""An annotator who knows the true masks: where it clicks, when it stops, how long it takes.

Nothing here knows the platform, so the same oracle can drive any decoder.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from masks.regions import deepest_point
from training.evaluate import iou as mask_iou
from training.evaluate import next_click

Mask = NDArray[np.bool_]

GOOD_ENOUGH_IOU = 0.85
MAX_CLICKS = 9  # the most points an evaluation gives (SAM paper, section 7.1)
ACCEPT_PREFILLED_IOU = 0.75  # the paper counts agreement of masks from there (section 5)
# Simulated time: SAM 2 paper, section E.1.2 (find an object, each click). The brush has no
# published figure: 10 s is our estimate of tracing what nine clicks could not get.
FIND_S = 1.0
CLICK_S = 1.5
VERIFY_S = 1.0
BRUSH_S = 10.0


@dataclass(frozen=True, slots=True)
class Click:
    """A pixel of the photo. label: 1 = part of the object, 0 = not."""

    x_px: int
    y_px: int
    label: int


Decode = Callable[[Sequence[Click]], Mask]


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawnMask:
    """One mask as the oracle left it, and what it cost."""

    mask_hw: Mask
    clicks: tuple[Click, ...]
    iou_by_clicks: float  # before the brush
    is_brushed: bool

    @property
    def seconds(self) -> float:
        return FIND_S + CLICK_S * len(self.clicks) + (BRUSH_S if self.is_brushed else 0.0)


def draw(truth: Mask, decode: Decode) -> DrawnMask:
    """Click until the mask is good enough or nine clicks are spent, then brush what is left.

    truth: (H, W), not empty. Keeps the mask of the last click, as a person would see it.
    """
    x_px, y_px = deepest_point(truth)
    clicks = [Click(x_px, y_px, 1)]
    prediction = decode(clicks)
    iou = mask_iou(prediction, truth)
    while iou < GOOD_ENOUGH_IOU and len(clicks) < MAX_CLICKS:
        # Never None: an IoU below the goal means that some pixel differs.
        clicks.append(Click(*(next_click(truth, prediction) or (x_px, y_px, 1))))
        prediction = decode(clicks)
        iou = mask_iou(prediction, truth)
    is_brushed = iou < GOOD_ENOUGH_IOU
    return DrawnMask(
        mask_hw=truth if is_brushed else prediction,
        clicks=tuple(clicks),
        iou_by_clicks=iou,
        is_brushed=is_brushed,
    )


def match(proposals: Sequence[Mask], truths: Sequence[Mask], *, min_iou: float) -> dict[int, int]:
    """Pair proposals with true masks one to one, best IoU first: {proposal index: truth index}."""
    return {i: j for _, i, j in matched_pairs(proposals, truths, min_iou=min_iou)}


def matched_pairs(
    proposals: Sequence[Mask], truths: Sequence[Mask], *, min_iou: float
) -> list[tuple[float, int, int]]:
    """Pair one to one, best IoU first: (IoU, proposal index, truth index) of every pair."""
    candidates = [
        (mask_iou(proposal, truth), i, j)
        for i, proposal in enumerate(proposals)
        for j, truth in enumerate(truths)
        if _boxes_touch(proposal, truth)
    ]
    taken_proposals: set[int] = set()
    taken_truths: set[int] = set()
    pairs = []
    for iou, i, j in sorted(candidates, key=lambda pair: (-pair[0], pair[1], pair[2])):
        if iou >= min_iou and i not in taken_proposals and j not in taken_truths:
            taken_proposals.add(i)
            taken_truths.add(j)
            pairs.append((iou, i, j))
    return pairs


def _boxes_touch(a: Mask, b: Mask) -> bool:
    return all(bool((a.any(axis=axis) & b.any(axis=axis)).any()) for axis in (0, 1))
