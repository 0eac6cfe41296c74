"""Thresholds fitted by what a model's own answers were worth."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from masks.rle import Rle
from training.detector.thresholds import UNKNOWN_WEIGHT, Answer, answers_of, fit


def answer(
    predicted_iou: float, truth: int, *, stability: float = 0.9, weight: float = 1.0
) -> Answer:
    return Answer(
        predicted_iou=predicted_iou, stability_score=stability, truth=truth, weight=weight
    )


def block(x_px: int, *, side: int = 10) -> Rle:
    mask = np.zeros((40, 80), dtype=bool)
    mask[5 : 5 + side, x_px : x_px + side] = True
    return Rle.encode(mask)


def test_a_model_that_rates_itself_low_gets_a_low_threshold() -> None:
    hits = [answer(0.3 + 0.01 * i, i) for i in range(20)]
    misses = [answer(0.1 + 0.005 * i, -1) for i in range(20)]

    fitted = fit([*hits, *misses], num_truths=20, beta=1.0)

    assert fitted is not None
    assert 0.195 < fitted.predicted_iou <= 0.3
    assert (fitted.precision, fitted.recall) == (1.0, 1.0)


def test_stability_decides_where_predicted_iou_cannot() -> None:
    hits = [answer(0.5, i, stability=0.9) for i in range(12)]
    misses = [answer(0.5, -1, stability=0.6) for _ in range(30)]

    fitted = fit([*hits, *misses], num_truths=12, beta=1.0)

    assert fitted is not None
    assert 0.6 < fitted.stability_score <= 0.9
    assert fitted.precision == 1.0


def test_a_low_beta_gives_up_masks_to_be_right_about_the_rest() -> None:
    sure = [answer(0.9, i) for i in range(10)]
    unsure = [answer(0.4, 10 + i) for i in range(8)] + [answer(0.4, -1) for _ in range(12)]
    both = [*sure, *unsure]

    careful, generous = (fit(both, num_truths=18, beta=beta) for beta in (0.5, 2.0))

    assert careful is not None
    assert generous is not None
    assert careful.predicted_iou > 0.4 >= generous.predicted_iou
    assert careful.precision == 1.0 > generous.precision
    assert careful.recall < 1.0 == generous.recall


def test_a_second_mask_of_an_object_is_false() -> None:
    twice = [answer(0.9, i) for i in range(10)] + [answer(0.3, i) for i in range(10)]

    fitted = fit(twice, num_truths=10, beta=1.0)

    assert fitted is not None
    assert fitted.predicted_iou > 0.3
    assert fitted.precision == 1.0


@pytest.mark.parametrize(
    ("answers", "num_truths"),
    [([], 20), ([answer(0.9, 0)], 9), ([answer(0.9, -1)] * 5, 20)],
    ids=["no answer", "too few objects", "no hit"],
)
def test_too_little_fits_nothing(answers: list[Answer], num_truths: int) -> None:
    assert fit(answers, num_truths=num_truths, beta=1.0) is None


def test_answers_know_their_object_and_weigh_less_where_nothing_is_labelled() -> None:
    found = [(block(10), 0.9, 0.8), (block(14), 0.5, 0.7), (block(60), 0.4, 0.6)]

    exact, shifted, elsewhere = answers_of(found, [block(30), block(10)], first_truth=5)

    assert (exact.truth, exact.predicted_iou, exact.stability_score) == (6, 0.9, 0.8)
    assert (shifted.truth, shifted.weight) == (-1, 1.0)
    assert (elsewhere.truth, elsewhere.weight) == (-1, UNKNOWN_WEIGHT)


def test_an_image_without_answers_has_none() -> None:
    assert answers_of([], [block(1)]) == []


def test_a_wanted_precision_is_reached_at_the_highest_recall() -> None:
    sure = [answer(0.9, i) for i in range(10)]
    unsure = [answer(0.4, 10 + i) for i in range(8)] + [answer(0.4, -1) for _ in range(12)]
    wild = [answer(0.2, 18)] + [answer(0.2, -1) for _ in range(100)]

    fitted = fit([*sure, *unsure, *wild], num_truths=19, beta=0.5, min_precision=0.5)

    assert fitted is not None
    assert fitted.predicted_iou > 0.2
    assert fitted.recall == pytest.approx(18 / 19)
    assert fitted.precision == pytest.approx(18 / 30)


def test_sources_count_alike() -> None:
    many = [answer(0.9, i) for i in range(90)]
    few = [replace(answer(0.5, 90 + i), source="few") for i in range(10)]
    wrong = [replace(answer(0.4, -1), source="few") for _ in range(90)]
    many = [replace(one, source="many") for one in many]

    fitted = fit([*many, *few, *wrong], num_truths={"many": 90, "few": 10}, beta=1.0)

    assert fitted is not None
    assert fitted.predicted_iou > 0.4
    assert fitted.num_truths == 100
