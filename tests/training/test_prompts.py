"""The simulated annotator: where it clicks, how its boxes shake, what order it works in."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from training.losses.simulated_prompts import (
    Pass,
    boxes_of_masks,
    clicks_in,
    corrections,
    noised_boxes,
    pass_schedule,
    points_in,
)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def mask_of(*pixels: tuple[int, int], size: int = 8) -> torch.Tensor:
    mask = torch.zeros(1, size, size, dtype=torch.bool)
    for x, y in pixels:
        mask[0, y, x] = True
    return mask


def test_the_schedule_has_eleven_passes_and_ends_without_a_click() -> None:
    for seed in range(20):
        passes = pass_schedule(generator=generator(seed))

        assert len(passes) == 11
        assert passes[0] is Pass.FIRST
        assert passes[-1] is Pass.MASK_ONLY
        assert Counter(passes) == {Pass.FIRST: 1, Pass.CORRECTION: 8, Pass.MASK_ONLY: 2}


def test_the_other_pass_without_a_click_falls_anywhere_among_the_corrections() -> None:
    positions = {
        pass_schedule(generator=generator(seed)).index(Pass.MASK_ONLY) for seed in range(300)
    }

    assert positions == set(range(1, 10))


def test_a_short_schedule_keeps_the_last_pass() -> None:
    assert pass_schedule(num_corrections=1, mask_only_passes=1, generator=generator()) == [
        Pass.FIRST,
        Pass.CORRECTION,
        Pass.MASK_ONLY,
    ]
    assert pass_schedule(num_corrections=0, mask_only_passes=0, generator=generator()) == [
        Pass.FIRST
    ]


def test_an_impossible_schedule_is_refused() -> None:
    with pytest.raises(ValueError, match="at most two"):
        pass_schedule(mask_only_passes=3, generator=generator())


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 9), st.integers(1, 9))
def test_a_click_always_falls_inside_its_mask(seed: int, height: int, width: int) -> None:
    masks = torch.rand(5, height, width, generator=generator(seed)) < 0.3
    masks[:, 0, 0] |= ~masks.flatten(1).any(1)

    points = points_in(masks, generator=generator(seed))

    for mask, (x, y) in zip(masks, points.long().tolist(), strict=True):
        assert mask[y, x]


def test_clicks_are_spread_evenly_over_a_mask() -> None:
    mask = mask_of((1, 0), (7, 3), (0, 7), (6, 7))

    points = points_in(mask.expand(4000, -1, -1), generator=generator())

    counts = Counter(map(tuple, points.long().tolist()))
    assert set(counts) == {(1, 0), (7, 3), (0, 7), (6, 7)}
    # 4000 draws from 4 pixels: 1000 each, standard deviation sqrt(4000 * 1/4 * 3/4) = 27
    assert all(abs(count - 1000) < 5 * 27 for count in counts.values())


def test_central_clicks_keep_inside_the_mask_and_away_from_its_edge() -> None:
    mask = torch.zeros(1, 64, 64, dtype=torch.bool)
    mask[0, 8:56, 8:56] = True
    masks = mask.expand(500, -1, -1)

    uniform = clicks_in(masks, generator=generator())
    central = clicks_in(masks, generator=generator(), central_share=1.0)
    half = clicks_in(masks, generator=generator(), central_share=0.5)

    def mean_distance(points: torch.Tensor) -> float:
        return (points - 31.5).abs().amax(-1).mean().item()

    # the larger of two uniform distances within 24 is 16 on average
    assert mean_distance(uniform) == pytest.approx(16, abs=1)
    assert mean_distance(central) < 12
    assert mean_distance(central) < mean_distance(half) < mean_distance(uniform)
    assert mask[0][central[:, 1].long(), central[:, 0].long()].all()


def test_a_box_is_tight_around_its_mask() -> None:
    masks = torch.cat([mask_of((2, 1), (5, 6)), mask_of((7, 7))])

    assert boxes_of_masks(masks).tolist() == [[2, 1, 6, 7], [7, 7, 8, 8]]


def test_box_noise_grows_with_the_box_and_stops_at_twenty_pixels() -> None:
    small = torch.tensor([[500.0, 500.0, 520.0, 540.0]]).expand(4000, -1)  # sides 20 and 40
    large = torch.tensor([[300.0, 300.0, 800.0, 800.0]]).expand(4000, -1)  # sides 500

    small_noise = noised_boxes(small, image_hw=(1024, 1024), generator=generator()) - small
    large_noise = noised_boxes(large, image_hw=(1024, 1024), generator=generator()) - large

    assert small_noise.std(0).tolist() == pytest.approx([2, 4, 2, 4], rel=0.1)
    assert large_noise.abs().max().item() == pytest.approx(20)


def test_a_share_of_boxes_is_left_exact() -> None:
    boxes = torch.tensor([[500.0, 500.0, 600.0, 600.0]]).expand(4000, -1)

    noise = (
        noised_boxes(boxes, image_hw=(1024, 1024), generator=generator(), exact_share=0.6) - boxes
    )

    is_exact = (noise == 0).all(1)
    # 4000 draws with probability 0.6: 2400, standard deviation 31
    assert abs(int(is_exact.sum()) - 2400) < 130
    assert noise[~is_exact].std(0).tolist() == pytest.approx([10] * 4, rel=0.1)


def test_a_noised_box_stays_ordered_and_inside_the_image() -> None:
    thin = torch.tensor([[0.0, 60.0, 63.0, 60.0], [63.0, 0.0, 63.0, 2.0]]).repeat(500, 1)

    boxes = noised_boxes(thin, image_hw=(64, 64), generator=generator())

    assert (boxes >= 0).all()
    assert (boxes <= 64).all()
    assert (boxes[:, :2] <= boxes[:, 2:]).all()


def test_a_correction_adds_what_is_missed_and_removes_what_spills_over() -> None:
    truth = torch.cat([mask_of((1, 1), (2, 1)), mask_of((1, 1))])
    predicted = torch.cat([mask_of((1, 1)), mask_of((1, 1), (6, 5))])

    points, labels = corrections(predicted, truth, generator=generator())

    assert points.tolist() == [[2, 1], [6, 5]]
    assert labels.tolist() == [1, 0]


def test_without_an_error_the_correction_is_a_background_click() -> None:
    truth = mask_of((3, 3))

    points, labels = corrections(truth, truth, generator=generator())

    assert labels.tolist() == [0]
    assert points.tolist() != [[3, 3]]


def test_without_an_error_in_a_full_frame_the_correction_is_a_foreground_click() -> None:
    truth = torch.ones(1, 4, 4, dtype=torch.bool)

    _, labels = corrections(truth, truth, generator=generator())

    assert labels.tolist() == [1]


def test_one_seed_gives_the_same_prompts() -> None:
    masks = torch.rand(6, 32, 32, generator=generator(5)) < 0.4

    first = points_in(masks, generator=generator(9))
    again = points_in(masks, generator=generator(9))

    assert torch.equal(first, again)


def test_uniform_box_noise_stays_within_a_tenth_of_the_side() -> None:
    box = torch.tensor([[500.0, 500.0, 520.0, 540.0]]).expand(4000, -1)  # sides 20 and 40

    noise = noised_boxes(box, image_hw=(1024, 1024), generator=generator(), is_uniform=True) - box

    # uniform in +/- 2 and +/- 4: standard deviation limit / sqrt(3)
    assert noise.abs().amax(0).tolist() == pytest.approx([2, 4, 2, 4], rel=0.01)
    assert noise.std(0).tolist() == pytest.approx([1.155, 2.309, 1.155, 2.309], rel=0.05)
