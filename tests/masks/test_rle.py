from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pycocotools import mask as coco

from masks.rle import MAX_PIXELS, Rle, RleError

masks = hnp.arrays(
    np.bool_,
    st.one_of(
        st.tuples(st.integers(1, 24), st.integers(1, 24)),
        st.tuples(st.just(1), st.integers(1, 60)),
        st.tuples(st.integers(1, 60), st.just(1)),
    ),
)


def oracle(mask: np.ndarray) -> dict:
    return coco.encode(np.asfortranarray(mask.astype(np.uint8)))


@given(masks)
def test_codes_areas_and_boxes_equal_those_of_pycocotools(mask: np.ndarray) -> None:
    expected = oracle(mask)

    rle = Rle.encode(mask)

    assert rle.counts.encode() == expected["counts"]
    assert rle.area_px == int(coco.area(expected))
    assert list(rle.bbox_xywh_px) == [int(v) for v in coco.toBbox(expected)]


@given(masks)
def test_a_mask_survives_encoding_and_decoding(mask: np.ndarray) -> None:
    decoded = Rle.encode(mask).decode()

    assert decoded.dtype == np.bool_
    assert np.array_equal(decoded, mask)


@given(masks)
def test_what_pycocotools_wrote_reads_back_to_the_same_mask(mask: np.ndarray) -> None:
    assert Rle.from_coco(oracle(mask)) == Rle.encode(mask)


@given(masks, st.data())
def test_runs_split_by_empty_runs_are_brought_to_the_one_canonical_code(
    mask: np.ndarray, data: st.DataObject
) -> None:
    rle = Rle.encode(mask)
    runs = rle.runs().tolist()
    where = data.draw(st.integers(0, len(runs) - 1))
    first = data.draw(st.integers(0, runs[where]))
    split = [*runs[:where], first, 0, runs[where] - first, *runs[where + 1 :]]

    read = Rle.from_coco({"size": list(mask.shape), "counts": split})

    assert read == rle
    assert read.sha256 == rle.sha256


@pytest.mark.parametrize("value", [0, 1])
@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (2000, 3000)])
def test_empty_and_full_masks_of_any_shape_match_pycocotools(
    shape: tuple[int, int], value: int
) -> None:
    mask = np.full(shape, value, dtype=bool)

    rle = Rle.encode(mask)

    assert rle.counts.encode() == oracle(mask)["counts"]
    assert rle.area_px == value * mask.size
    assert rle.bbox_xywh_px == ((0, 0, shape[1], shape[0]) if value else (0, 0, 0, 0))
    assert np.array_equal(rle.decode(), mask)


def test_the_fingerprint_is_of_size_and_code() -> None:
    # printf '2x3:06' | sha256sum
    rle = Rle.encode(np.ones((2, 3), dtype=bool))

    assert rle.counts == "06"
    assert rle.sha256 == "1ff3c54c372f2c37187bcff146a7b4651260aa2b4171d3e5c3fe140273c2cc16"


def test_zeros_and_ones_encode_like_booleans_and_other_values_are_refused() -> None:
    mask = np.array([[0, 1], [1, 1]], dtype=np.uint8)

    assert Rle.encode(mask) == Rle.encode(mask.astype(bool))
    with pytest.raises(RleError, match="only 0 and 1"):
        Rle.encode(mask * 255)


@pytest.mark.parametrize("shape", [(3,), (1, 2, 3), (0, 4), (4, 0)])
def test_an_array_that_is_no_mask_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(RleError):
        Rle.encode(np.zeros(shape, dtype=bool))


@pytest.mark.parametrize(
    ("obj", "message"),
    [
        ({"size": [5, 7], "counts": [3, 4]}, "add up to 7 pixels but the mask has 35"),
        ({"size": [2, 2], "counts": [5, -2, 1]}, "run 1 of the counts is negative"),
        ({"size": [2, 2], "counts": [2**80]}, "run 0 of the counts is too large"),
        ({"size": [2, 2], "counts": [1.5, 2.5]}, "run 0 of the counts is not a whole number"),
        ({"size": [2, 2], "counts": [True, 3]}, "run 0 of the counts is not a whole number"),
        ({"size": [2, 2], "counts": [0] * 11}, "11 runs, too many for the mask's pixels"),
        ({"size": [2, 2], "counts": []}, "empty"),
        ({"size": [2, 2], "counts": ""}, "empty"),
        ({"size": [2, 2], "counts": None}, "string or a list"),
        ({"size": [2, 2], "counts": "T"}, "ends in the middle"),
        ({"size": [2, 2], "counts": "4\x00"}, "foreign character at 1"),
        ({"size": [2, 2], "counts": "4é"}, "foreign character at 1"),
        ({"size": [2, 2], "counts": b"\xff"}, "foreign character at 0"),
        ({"size": [2, 2], "counts": "o" * 12 + "1"}, "too large"),
        ({"size": [2, 2], "counts": "0" * 50}, "50 runs, too many"),
        ({"size": [0, 2], "counts": "0"}, "no pixels"),
        ({"size": [2, -2], "counts": "0"}, "no pixels"),
        ({"size": [2**20, 2**20], "counts": "0"}, "larger than"),
        ({"size": [2], "counts": "4"}, r"\[height, width\]"),
        ({"size": "22", "counts": "4"}, r"\[height, width\]"),
        ({"size": [2.0, 2], "counts": "4"}, "whole numbers"),
        ({"counts": "4"}, "object with"),
        ("4", "object with"),
    ],
)
def test_a_foreign_code_that_is_wrong_is_refused_with_the_reason(obj: object, message: str) -> None:
    with pytest.raises(RleError, match=message):
        Rle.from_coco(obj)  # type: ignore[arg-type]


def test_a_mask_of_another_size_than_the_image_is_refused() -> None:
    rle = Rle.encode(np.ones((4, 6), dtype=bool))

    assert Rle.from_coco(rle.to_coco(), image_hw=(4, 6)) == rle
    with pytest.raises(RleError, match=r"4 x 6 px .* but the image is 6 x 4 px"):
        Rle.from_coco(rle.to_coco(), image_hw=(6, 4))


@given(st.one_of(st.text(max_size=30), st.binary(max_size=30)))
def test_no_counts_string_makes_anything_but_a_mask_or_an_rle_error(counts: str | bytes) -> None:
    try:
        rle = Rle.from_coco({"size": [3, 5], "counts": counts})
    except RleError:
        return

    assert rle.decode().shape == (3, 5)


def test_a_code_of_one_of_our_own_rows_gone_bad_is_refused_when_decoded() -> None:
    with pytest.raises(RleError, match="add up"):
        Rle(3, 3, "4").decode()
    assert MAX_PIXELS > 100_000_000
