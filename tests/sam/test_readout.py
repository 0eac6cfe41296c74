"""What masks are read out of, before and after the last convolution: the same numbers."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from sam.modeling.readout import ConvReadout, Readout

CHANNELS, MAPS, HEIGHT, WIDTH = 5, 2, 6, 9


@pytest.fixture
def both() -> tuple[Readout, ConvReadout]:
    torch.manual_seed(7)
    conv = nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1)
    fine, before = torch.randn(2, 2, CHANNELS, HEIGHT, WIDTH).unbind(0)
    maps = torch.randn(2, MAPS, HEIGHT, WIDTH)
    mixed = Readout(torch.cat([fine + conv(before), maps], dim=1))
    return mixed, ConvReadout(torch.cat([fine, maps], dim=1), before, conv)


@torch.no_grad()
def test_masks_read_before_the_convolution_are_those_read_after_it(
    both: tuple[Readout, ConvReadout],
) -> None:
    mixed, unmixed = both
    weights = torch.randn(2, 4, CHANNELS + MAPS)

    logits = unmixed.read(weights)

    assert logits.shape == (2, 4, HEIGHT, WIDTH)
    torch.testing.assert_close(logits, mixed.read(weights), rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_sums_under_masks_reach_over_the_edges_as_the_convolution_does(
    both: tuple[Readout, ConvReadout],
) -> None:
    mixed, unmixed = both
    inside = torch.rand(2, 4, HEIGHT, WIDTH)
    inside[:, 0] = F.pad(torch.ones(HEIGHT, 1), (WIDTH - 1, 0))  # the last column alone
    inside[:, 1] = 0.0

    found = unmixed.gather(inside.flatten(2))

    for ours, expected in zip(found, mixed.gather(inside.flatten(2)), strict=True):
        torch.testing.assert_close(ours, expected, rtol=1e-4, atol=1e-4)


def test_sums_under_masks_give_no_gradient(both: tuple[Readout, ConvReadout]) -> None:
    mixed, unmixed = both
    mixed.plain.requires_grad_()

    under = [part.gather(torch.ones(2, 4, HEIGHT * WIDTH))[0] for part in (mixed, unmixed)]

    assert not any(tensor.requires_grad for tensor in under)
