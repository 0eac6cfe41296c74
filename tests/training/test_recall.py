"""Average recall of found masks, matched by hand."""

from __future__ import annotations

import numpy as np
import pytest

from masks.rle import Rle
from sam.automatic.mask_generator import AutomaticMask
from training.evaluation.recall import average_recalls, recall_settings


def rle(x0: int, x1: int) -> Rle:
    mask = np.zeros((10, 100), dtype=bool)
    mask[:, x0:x1] = True
    return Rle.encode(mask)


def found(x0: int, x1: int, *, score: float) -> AutomaticMask:
    mask = rle(x0, x1)
    whole = (0, 0, 100, 10)
    return AutomaticMask(mask, score, score, whole, (0.0, 0.0), mask.bbox_xywh_px, mask.area_px)


def test_recall_counts_the_thresholds_that_the_best_match_passes() -> None:
    # 20 of 25 columns: IoU 0.8 passes 0.50, 0.55, ... 0.80, seven of ten; the other truth has none.
    shares = average_recalls([rle(0, 25), rle(50, 60)], [found(0, 20, score=0.9)], max_found=100)

    assert shares == pytest.approx([0.7, 0.0])


def test_a_found_mask_counts_for_one_truth_only() -> None:
    truths = [rle(0, 20), rle(1, 20)]

    alone = average_recalls(truths, [found(0, 20, score=0.9)], max_found=100)
    both = average_recalls(
        truths, [found(0, 20, score=0.9), found(0, 20, score=0.8)], max_found=100
    )

    assert alone == [1.0, 0.0]
    # the second copy fits the other truth by 19/20 = 0.95: all ten thresholds
    assert both == [1.0, 1.0]


def test_only_the_best_found_masks_count() -> None:
    masks = [found(0, 20, score=0.1), found(50, 60, score=0.9)]

    assert average_recalls([rle(0, 20)], masks, max_found=1) == [0.0]
    assert average_recalls([rle(0, 20)], masks, max_found=2) == [1.0]
    assert average_recalls([rle(0, 20)], [], max_found=2) == [0.0]


def test_proposals_are_not_filtered_by_what_the_model_thinks_of_them() -> None:
    settings = recall_settings(points_per_side=64)

    assert settings.pred_iou_thresh == float("-inf")
    assert (settings.stability_thresh, settings.nms_iou_thresh) == (0.0, 0.9)
    assert settings.points_per_side == 64
