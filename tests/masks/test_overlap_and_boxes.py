from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from masks.boxes import box_iou, clip_xyxy, xywh_to_xyxy, xyxy_to_xywh
from masks.overlap import mask_iou, pairwise_iou
from masks.rle import Rle, RleError

pairs = st.tuples(st.integers(1, 15), st.integers(1, 15)).flatmap(
    lambda shape: st.tuples(hnp.arrays(np.bool_, shape), hnp.arrays(np.bool_, shape))
)


@given(pairs)
def test_mask_overlap_is_the_pixel_count_of_the_decoded_masks(
    pair: tuple[np.ndarray, np.ndarray],
) -> None:
    a, b = pair
    union = int((a | b).sum())
    expected = (a & b).sum() / union if union else 0.0

    assert mask_iou(Rle.encode(a), Rle.encode(b)) == pytest.approx(expected)


def test_pairwise_overlap_is_a_table_even_when_one_side_is_empty() -> None:
    left = Rle.encode(np.array([[1, 1, 0, 0]], dtype=bool))
    middle = Rle.encode(np.array([[0, 1, 1, 0]], dtype=bool))

    assert pairwise_iou([left, middle], [middle]).tolist() == [[pytest.approx(1 / 3)], [1.0]]
    assert pairwise_iou([], [left]).shape == (0, 1)


def test_masks_of_different_sizes_have_no_overlap_but_an_error() -> None:
    with pytest.raises(RleError, match="different sizes"):
        mask_iou(Rle.encode(np.ones((2, 3))), Rle.encode(np.ones((3, 2))))


def test_a_malformed_code_never_reaches_the_c_code() -> None:
    with pytest.raises(RleError):
        mask_iou(Rle(4, 4, "0" * 90), Rle.encode(np.ones((4, 4))))


def test_boxes_convert_there_and_back_and_clip_to_the_image() -> None:
    boxes = [[1, 2, 5, 9], [-3, 0, 40, 7]]

    assert xyxy_to_xywh(boxes).tolist() == [[1, 2, 4, 7], [-3, 0, 43, 7]]
    assert xywh_to_xyxy(xyxy_to_xywh(boxes)).tolist() == boxes
    assert clip_xyxy(boxes, image_hw=(8, 20)).tolist() == [[1, 2, 5, 8], [0, 0, 20, 7]]
    with pytest.raises(ValueError, match="4 values"):
        clip_xyxy([[1, 2, 3]], image_hw=(8, 20))


def test_box_overlap_worked_out_by_hand() -> None:
    # 10x10 and 10x10 shifted by 5: overlap 50, union 150
    table = box_iou([[0, 0, 10, 10], [3, 3, 3, 3]], [[5, 0, 15, 10], [3, 3, 3, 3]])

    assert table.tolist() == [[pytest.approx(1 / 3), 0.0], [0.0, 0.0]]
