"""The learning rate over a run, against lists worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch

from training.loop.optimisation import LoopSettings, learning_rate_share, step_generator


def settings(**changes: object) -> LoopSettings:
    values: dict[str, object] = {
        "num_steps": 10,
        "learning_rate": 1.0,
        "weight_decay": 0.1,
        "warmup_steps": 3,
        "clip_norm": None,
        "checkpoint_every_steps": 1,
        "seed": 0,
    }
    return LoopSettings(**{**values, **changes})


def test_step_decay_falls_at_the_milestones() -> None:
    shares = [
        learning_rate_share(step, settings(schedule="step", milestones=(5, 8)))
        for step in range(10)
    ]

    by_hand = [1 / 4, 2 / 4, 3 / 4, 1, 1, 0.1, 0.1, 0.1, 0.01, 0.01]
    assert shares == pytest.approx(by_hand)


def test_the_paper_s_schedule_falls_tenfold_at_60000_and_86666() -> None:
    paper = settings(
        num_steps=90_000, warmup_steps=250, schedule="step", milestones=(60_000, 86_666)
    )

    shares = [learning_rate_share(step, paper) for step in (0, 249, 250, 59_999, 60_000, 86_666)]

    assert shares == pytest.approx([1 / 251, 250 / 251, 1, 1, 0.1, 0.01])


def test_a_constant_rate_only_warms_up() -> None:
    shares = [learning_rate_share(step, settings(schedule="constant")) for step in range(5)]

    assert shares == [1 / 4, 2 / 4, 3 / 4, 1.0, 1.0]


def test_half_a_cosine_ends_near_a_twentieth() -> None:
    shares = [learning_rate_share(step, settings()) for step in (3, 6, 9)]

    # after the warm-up 0, 3/7 and 6/7 of the way: 0.05 + 0.95 * (1 + cos(pi * way)) / 2
    by_hand = [0.05 + 0.95 * (1 + math.cos(math.pi * way)) / 2 for way in (0, 3 / 7, 6 / 7)]
    assert shares == pytest.approx(by_hand)


def test_each_image_of_a_step_has_its_own_randomness() -> None:
    draws = {
        float(torch.rand(1, generator=step_generator(seed=1, step=2, place=place)))
        for place in (None, 0, 1, 2)
    }
    again = float(torch.rand(1, generator=step_generator(seed=1, step=2, place=1)))

    assert len(draws) == 4
    assert again in draws
