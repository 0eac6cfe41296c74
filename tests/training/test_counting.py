"""Counting pixels eight at a time gives what counting one by one gives."""

from __future__ import annotations

import pytest
import torch

from training.losses.counting import count_true


@pytest.mark.parametrize("width", [1, 7, 8, 512, 2040, 2048])
def test_rows_are_counted_exactly(width: int) -> None:
    masks = torch.rand(3, 5, width, generator=torch.Generator().manual_seed(width)) > 0.4

    assert torch.equal(count_true(masks), masks.sum(-1))


@pytest.mark.parametrize("width", [8, 2040, 2048])
def test_a_full_row_does_not_spill_over(width: int) -> None:
    assert count_true(torch.ones(2, width, dtype=torch.bool)).tolist() == [width, width]


def test_a_window_of_a_mask_is_counted() -> None:
    mask = torch.zeros(16, 24, dtype=torch.bool)
    mask[3:6, 1:12] = True

    assert count_true(mask[2:7, 3:19]).tolist() == [0, 9, 9, 9, 0]
    assert count_true(mask.flatten()[75:83]).item() == 8  # begins within a word
    assert count_true(mask.T).sum().item() == 33


def test_no_mask_is_counted_too() -> None:
    assert count_true(torch.zeros(0, 4, 16, dtype=torch.bool)).shape == (0, 4)
