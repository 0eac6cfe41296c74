"""Every operation on masks against pycocotools, or against plain pixels where it has none."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pycocotools import mask as coco

from masks.boxes import box_iou
from masks.overlap import complement, difference, intersection, mask_iou, pairwise_iou, union
from masks.rle import Rle, RleError

shapes = st.one_of(
    st.tuples(st.integers(1, 24), st.integers(1, 24)),
    st.tuples(st.just(1), st.integers(1, 60)),  # one row
    st.tuples(st.integers(1, 60), st.just(1)),  # one column
)


@st.composite
def masks_of(draw: st.DrawFn, shape: tuple[int, int]) -> np.ndarray:
    """Noise, nothing, everything, one pixel, or a few rectangles."""
    kind = draw(st.sampled_from(["noise", "empty", "full", "pixel", "rectangles"]))
    if kind == "noise":
        return draw(hnp.arrays(np.bool_, shape))
    mask = np.full(shape, kind == "full")
    for _ in range({"pixel": 1, "rectangles": 3}.get(kind, 0)):
        y, x = (draw(st.integers(0, side - 1)) for side in shape)
        high, wide = (1, 1) if kind == "pixel" else draw(st.tuples(*[st.integers(1, 12)] * 2))
        mask[y : y + high, x : x + wide] = True
    return mask


masks = shapes.flatmap(masks_of)
triples = shapes.flatmap(lambda shape: st.tuples(*[masks_of(shape)] * 3))


def oracle(mask: np.ndarray) -> dict:
    return coco.encode(np.asfortranarray(mask.astype(np.uint8)))


@given(masks, st.sampled_from(["C", "F", "strided", "reversed"]))
def test_the_code_is_pycocotools_code_however_the_mask_lies_in_memory(
    mask: np.ndarray, layout: str
) -> None:
    laid_out = {
        "C": lambda: np.ascontiguousarray(mask),
        "F": lambda: np.asfortranarray(mask),
        "strided": lambda: np.repeat(np.repeat(mask, 2, 0), 3, 1)[::2, ::3],
        "reversed": lambda: np.ascontiguousarray(mask[::-1, ::-1])[::-1, ::-1],
    }[layout]()

    rle = Rle.encode(laid_out)

    assert rle.counts.encode() == oracle(mask)["counts"]
    assert (rle.height_px, rle.width_px) == mask.shape


@given(masks)
def test_decoding_area_and_box_are_those_of_pycocotools(mask: np.ndarray) -> None:
    foreign = oracle(mask)

    rle = Rle.from_coco(foreign)

    assert np.array_equal(rle.decode(), coco.decode(foreign).astype(bool))
    assert rle.area_px == coco.area(foreign)
    assert list(rle.bbox_xywh_px) == coco.toBbox(foreign).tolist()


@given(masks)
def test_uncompressed_runs_read_like_the_compressed_string(mask: np.ndarray) -> None:
    rle = Rle.encode(mask)
    runs = rle.runs()
    foreign = {"size": list(mask.shape), "counts": runs.tolist()}

    assert coco.frPyObjects(foreign, *mask.shape) == oracle(mask)
    assert Rle.from_coco(foreign) == rle
    assert Rle.from_runs(runs, *mask.shape) == rle
    assert Rle.from_runs(np.insert(runs, runs.size // 2, [0, 0]), *mask.shape) == rle


@given(triples)
def test_overlaps_are_those_of_pycocotools(triple: tuple[np.ndarray, ...]) -> None:
    rles = [Rle.encode(mask) for mask in triple]
    foreign = [oracle(mask) for mask in triple]

    expected = np.nan_to_num(coco.iou(foreign[:2], foreign[1:], [0, 0]))
    assert np.array_equal(pairwise_iou(rles[:2], rles[1:]), expected)
    assert mask_iou(rles[0], rles[1]) == expected[0, 0]


@given(triples)
def test_merging_is_that_of_pycocotools_and_of_the_pixels(triple: tuple[np.ndarray, ...]) -> None:
    a, b, c = triple
    rles = [Rle.encode(mask) for mask in triple]
    foreign = [oracle(mask) for mask in triple]

    assert union(rles) == Rle.from_coco(coco.merge(foreign)) == Rle.encode(a | b | c)
    assert intersection(rles) == Rle.from_coco(coco.merge(foreign, True)) == Rle.encode(a & b & c)
    assert difference(rles[0], rles[1]) == Rle.encode(a & ~b)
    assert complement(rles[0]) == Rle.encode(~a)
    assert union(rles[:1]) == intersection(rles[:1]) == rles[0]


def test_merging_refuses_no_masks_and_masks_of_different_sizes() -> None:
    a, b = Rle.encode(np.ones((2, 3))), Rle.encode(np.ones((3, 2)))

    with pytest.raises(RleError, match="no masks"):
        union([])
    for merge in (lambda: union([a, b]), lambda: intersection([a, b]), lambda: difference(a, b)):
        with pytest.raises(RleError, match="different sizes"):
            merge()


boxes_xywh = st.lists(
    st.tuples(*[st.integers(-20, 20)] * 2, *[st.integers(0, 20)] * 2), min_size=1, max_size=4
)


@given(boxes_xywh, boxes_xywh)
def test_box_overlaps_are_those_of_pycocotools(a: list, b: list) -> None:
    xywh_a, xywh_b = np.array(a, dtype=np.float64), np.array(b, dtype=np.float64)
    expected = np.nan_to_num(coco.iou(xywh_a, xywh_b, [0] * len(b)))

    corners = [np.concatenate([x[:, :2], x[:, :2] + x[:, 2:]], 1) for x in (xywh_a, xywh_b)]

    np.testing.assert_allclose(box_iou(*corners), expected, rtol=1e-12)


@pytest.mark.parametrize(
    ("runs", "message"),
    [
        ([], "at least one"),
        ([[3, 3]], "at least one"),
        ([1.0, 5.0], "whole number"),
        ([True, False], "whole number"),
        (["6"], "whole number"),
        ([[1], [2, 3]], "whole number"),
        ([2**80], "whole number"),
        ([2, -1, 5], "run 1 of the counts is negative"),
        ([2, 3], "add up to 5 pixels but the mask has 6"),
        ([7], "run 0 of the counts is longer than the mask's 6 pixels"),
        (np.array([2**64 - 1, 7], dtype=np.uint64), "run 0 of the counts is longer"),
        ([2**62] * 4 + [6], "run 0 of the counts is longer"),  # adds up to 6 modulo 2^64
    ],
)
def test_runs_that_make_no_mask_are_refused_with_the_reason(runs: object, message: str) -> None:
    with pytest.raises(RleError, match=message):
        Rle.from_runs(runs, 2, 3)  # type: ignore[arg-type]


def test_a_run_far_longer_than_the_mask_is_refused_before_the_sum_can_overflow() -> None:
    # 2^33 in groups of five bits, low ones first: six zeros that go on ("P"), then 8.
    two_to_33 = "P" * 6 + "8"

    with pytest.raises(RleError, match="run 0 of the counts is longer"):
        Rle.from_coco({"size": [1000, 1000], "counts": two_to_33 * 4})


any_size = st.one_of(
    st.none(),
    st.text(max_size=3),
    st.lists(st.integers(), max_size=3),
    st.lists(st.sampled_from([10**5000, -(10**5000), 3, 2**16, 2.0, True, None]), max_size=2),
    hnp.arrays(np.int64, hnp.array_shapes(min_dims=0, max_dims=2)),
    st.just([3, 5]),
)
any_counts = st.one_of(
    st.none(),
    st.text(max_size=30),
    st.binary(max_size=30),
    st.text(alphabet=[chr(code) for code in range(48, 112)], max_size=40),
    st.lists(st.integers(), max_size=9),
    st.lists(st.one_of(st.floats(), st.booleans(), st.none(), st.text(max_size=2)), max_size=4),
    hnp.arrays(np.int64, hnp.array_shapes(min_dims=0, max_dims=2)),
    hnp.arrays(np.float32, 3),
)


@given(any_size, any_counts)
def test_whatever_is_handed_in_makes_a_mask_or_an_rle_error(size: object, counts: object) -> None:
    try:
        rle = Rle.from_coco({"size": size, "counts": counts})
    except RleError:
        return

    assert Rle.from_coco(oracle(rle.decode())) == rle


@contextmanager
def at_most_mb(limit_mb: float) -> Iterator[None]:
    tracemalloc.start()
    try:
        yield
        peak_mb = tracemalloc.get_traced_memory()[1] / 1e6
    finally:
        tracemalloc.stop()
    assert peak_mb < limit_mb


@pytest.mark.parametrize(
    ("size", "counts"),
    [
        ([2, 2], "0" * 30_000_000),
        ([2, 2], b"\xff" * 30_000_000),
        ([2, 2], [1] * 1_000_000),
        ([16000, 16000], "o" * 100_000),
        ([16000, 16000], "4"),
        ([2**40, 2**40], "4"),
    ],
)
def test_a_hostile_code_is_refused_before_memory_is_taken(size: list, counts: object) -> None:
    with at_most_mb(10), pytest.raises(RleError):
        Rle.from_coco({"size": size, "counts": counts})


HEIGHT, WIDTH = 7_500, 8_000  # 60 megapixels
AREAS: dict[str, Callable[[], np.ndarray]] = {
    "empty": lambda: np.zeros((HEIGHT, WIDTH), dtype=bool),
    "full": lambda: np.ones((HEIGHT, WIDTH), dtype=bool),
    "one pixel": lambda: _with_pixel(HEIGHT - 1, WIDTH - 1),
    "patches": lambda: _patches(50, 70),
    "one row": lambda: np.tile(np.arange(6_000) < 1_000, 10_000).reshape(1, -1),
    "one column": lambda: np.tile(np.arange(6_000) < 1_000, 10_000).reshape(-1, 1),
}


def _with_pixel(y: int, x: int) -> np.ndarray:
    mask = np.zeros((HEIGHT, WIDTH), dtype=bool)
    mask[y, x] = True
    return mask


def _patches(high_px: int, wide_px: int) -> np.ndarray:
    y, x = np.ogrid[:HEIGHT, :WIDTH]
    return (y // high_px % 2 == 1) ^ (x // wide_px % 2 == 1)


@pytest.mark.parametrize("name", AREAS)
def test_sixty_megapixels_match_pycocotools_in_bounded_memory(name: str) -> None:
    mask = AREAS[name]()
    expected = oracle(mask)
    num_runs = Rle.from_coco(expected).runs().size

    with at_most_mb(30 + 60e-6 * num_runs):  # never a second mask, which has 60 MB
        rle = Rle.encode(mask)
    with at_most_mb(65 + 40e-6 * num_runs):
        decoded = rle.decode()

    assert rle.counts.encode() == expected["counts"]
    assert np.array_equal(decoded, mask)
    assert rle.area_px == coco.area(expected)
    assert list(rle.bbox_xywh_px) == coco.toBbox(expected).tolist()
    assert mask_iou(rle, rle) == (1.0 if rle.area_px else 0.0)
    assert intersection([rle, complement(rle)]).area_px == 0
    assert union([rle, complement(rle)]).area_px == mask.size


@pytest.mark.slow
def test_sixty_megapixels_of_noise_match_pycocotools() -> None:
    mask = np.random.default_rng(1).integers(0, 2, (HEIGHT, WIDTH), dtype=np.uint8).view(bool)

    rle = Rle.encode(mask)

    assert rle.counts.encode() == oracle(mask)["counts"]
    assert np.array_equal(rle.decode(), mask)
    assert rle.area_px == np.count_nonzero(mask)
