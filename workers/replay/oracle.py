"""A simulated annotator that knows the true masks: its clicks, when it stops, the time it takes.

It is independent of the platform, so the same oracle can drive any decoder.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from masks.boxes import pixels_of
from masks.crops import Crop, crop_for
from masks.regions import deepest_point
from masks.rle import Rle
from training.evaluation.evaluate import iou as mask_iou
from training.evaluation.evaluate import next_click

Mask = NDArray[np.bool_]

GOOD_ENOUGH_IOU = 0.85
MAX_CLICKS = 9  # the most points an evaluation gives (SAM paper, section 7.1)
ACCEPT_PREFILLED_IOU = 0.75  # the paper counts agreement of masks from there (section 5)
# Simulated time: SAM 2 paper, section E.1.2 (find an object, each click). The brush has no
# published figure: 10 s is our estimate of tracing what nine clicks could not get. Nor has zooming
# in on a small object: 1 s is our estimate of turning the wheel there and back.
FIND_S = 1.0
CLICK_S = 1.5
ZOOM_S = 1.0
VERIFY_S = 1.0
BRUSH_S = 10.0


@dataclass(frozen=True, slots=True)
class Click:
    """A clicked pixel of the image. label: 1 = part of the object, 0 = background."""

    x_px: int
    y_px: int
    label: int


Decode = Callable[[Sequence[Click]], Mask]


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawnMask:
    """A mask that the oracle drew, and what it cost."""

    mask_hw: Mask
    clicks: tuple[Click, ...]
    iou_by_clicks: float  # before the brush
    is_brushed: bool
    is_in_crop: bool = False

    @property
    def seconds(self) -> float:
        brush_s = BRUSH_S if self.is_brushed else 0.0
        zoom_s = ZOOM_S if self.is_in_crop else 0.0
        return FIND_S + zoom_s + CLICK_S * len(self.clicks) + brush_s


def draw(truth: Mask, decode: Decode) -> DrawnMask:
    """Click until the mask is good enough or nine clicks are spent, then brush what is left.

    Args:
        truth: (H, W), not empty.

    Returns:
        The mask of the last click, or the true mask when the brush was needed.
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


def crop_of_object(truth: Mask) -> Crop | None:
    """Return the crop in which an object (H, W) is drawn; None: it is drawn in the whole image."""
    return crop_for(Rle.encode(truth).bbox_xywh_px, image_hw=(truth.shape[0], truth.shape[1]))


def draw_in_crop(truth: Mask, decode: Decode, *, xywh_px: tuple[int, int, int, int]) -> DrawnMask:
    """Draw an object in a crop of the image that holds all of it.

    Args:
        truth: Mask of the whole image.
        decode: Takes clicks and returns masks in pixels of the crop.

    Returns:
        Mask and clicks in pixels of the image.
    """
    x, y, _, _ = xywh_px
    crop = pixels_of(xywh_px)
    drawn = draw(truth[crop], decode)
    mask_hw = np.zeros_like(truth)
    mask_hw[crop] = drawn.mask_hw
    clicks = tuple(Click(one.x_px + x, one.y_px + y, one.label) for one in drawn.clicks)
    return replace(drawn, mask_hw=mask_hw, clicks=clicks, is_in_crop=True)


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
