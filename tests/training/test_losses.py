"""Losses against values worked out by hand, shown beside each number."""

from __future__ import annotations

import math

import pytest
import torch

from training.losses.mask_losses import (
    dice_loss,
    focal_loss,
    iou_loss,
    mask_iou,
    mask_loss,
    order_loss,
)

LOG_2 = math.log(2)


def test_focal_loss_of_an_undecided_mask_is_worked_out_by_hand() -> None:
    logits = torch.zeros(1, 1, 4)  # p = 1/2 everywhere
    targets = torch.tensor([[[1.0, 0.0, 0.0, 0.0]]])

    loss = focal_loss(logits, targets)

    # foreground pixel: 0.25 * (1 - 1/2)^2 * ln 2; three background pixels: 0.75 * (1/2)^2 * ln 2
    by_hand = (0.25 * 0.25 * LOG_2 + 3 * 0.75 * 0.25 * LOG_2) / 4
    assert loss.item() == pytest.approx(by_hand, rel=1e-6)


def test_focal_loss_weighs_sure_pixels_down_and_wrong_ones_up() -> None:
    logit = math.log(3)  # p = 3/4
    right = focal_loss(torch.full((1, 1, 1), logit), torch.ones(1, 1, 1))
    wrong = focal_loss(torch.full((1, 1, 1), -logit), torch.ones(1, 1, 1))

    assert right.item() == pytest.approx(0.25 * (1 / 4) ** 2 * -math.log(3 / 4), rel=1e-6)
    assert wrong.item() == pytest.approx(0.25 * (3 / 4) ** 2 * -math.log(1 / 4), rel=1e-6)


def test_focal_loss_with_another_gamma_is_worked_out_by_hand() -> None:
    loss = focal_loss(torch.zeros(1, 1, 1), torch.ones(1, 1, 1), alpha=0.5, gamma=3.0)

    assert loss.item() == pytest.approx(0.5 * 0.5**3 * LOG_2, rel=1e-6)


def test_focal_loss_stays_finite_for_huge_logits() -> None:
    logits = torch.tensor([[[200.0, -200.0]]], requires_grad=True)

    loss = focal_loss(logits, torch.tensor([[[0.0, 1.0]]]))
    loss.sum().backward()

    assert loss.item() == pytest.approx((0.75 * 200 + 0.25 * 200) / 2)
    assert torch.isfinite(logits.grad).all()


def test_dice_loss_smooths_by_one() -> None:
    logits = torch.tensor([[[40.0, 40.0, -40.0, -40.0]]])  # p = 1, 1, 0, 0
    targets = torch.tensor([[[1.0, 0.0, 1.0, 0.0]]])

    # common 1, sums 2 and 2: 1 - (2 * 1 + 1) / (2 + 2 + 1)
    assert dice_loss(logits, targets).item() == pytest.approx(1 - 3 / 5, abs=1e-6)


def test_dice_loss_of_two_empty_masks_is_nothing() -> None:
    loss = dice_loss(torch.full((1, 2, 2), -40.0), torch.zeros(1, 2, 2))

    assert loss.item() == pytest.approx(0.0, abs=1e-6)


def test_mask_loss_is_twenty_parts_focal_and_one_part_dice() -> None:
    logits, targets = torch.zeros(1, 1, 1), torch.ones(1, 1, 1)

    # focal 0.25 * 0.25 * ln 2; dice 1 - (2 * 0.5 + 1) / (0.5 + 1 + 1)
    by_hand = 20 * 0.0625 * LOG_2 + (1 - 2 / 2.5)
    assert mask_loss(logits, targets).item() == pytest.approx(by_hand, rel=1e-6)


def test_losses_answer_each_mask_and_candidate_on_its_own() -> None:
    logits = torch.stack([torch.full((3, 2, 2), 5.0), torch.full((3, 2, 2), -5.0)])
    targets = torch.ones(2, 1, 2, 2)

    loss = mask_loss(logits, targets)

    assert loss.shape == (2, 3)
    assert (loss[0] < loss[1]).all()


def test_mask_iou_counts_pixels_above_zero() -> None:
    logits = torch.tensor([[[1.0, 0.1, -1.0, 0.0]], [[-1.0, -1.0, -1.0, -1.0]]])
    targets = torch.tensor([[[True, False, True, False]], [[False, False, False, False]]])

    # first: predicted {0, 1}, truth {0, 2}: 1 / 3; a logit of exactly 0 is background
    # second: both empty, so they agree
    assert mask_iou(logits, targets).tolist() == pytest.approx([1 / 3, 1.0])


def test_the_true_iou_passes_no_gradient() -> None:
    predicted = torch.tensor([0.5], requires_grad=True)
    truth = torch.tensor([0.8], requires_grad=True)

    loss = iou_loss(predicted, truth)
    loss.sum().backward()

    assert loss.item() == pytest.approx(0.09)
    assert predicted.grad.item() == pytest.approx(2 * (0.5 - 0.8))
    assert truth.grad is None


def test_the_order_of_masks_costs_what_their_cross_entropy_says() -> None:
    true = torch.tensor([[0.9, 0.5, 0.1]])
    right, wrong = torch.tensor([[0.7, 0.4, 0.2]]), torch.tensor([[0.2, 0.4, 0.7]])

    wanted = torch.softmax(true / 0.1, 1)
    for predicted in (right, wrong):
        expected = -(wanted * torch.log_softmax(predicted / 0.1, 1)).sum(1)
        assert torch.allclose(order_loss(predicted, true), expected)
    assert order_loss(right, true) < order_loss(wrong, true)
