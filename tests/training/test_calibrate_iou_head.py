"""The judges' own fit: what is kept, what is learnt, and what stays as it was."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from sam.modeling.model import Sam, build
from training.scenes import LabelledImage
from training.starter.calibrate_iou_head import (
    KEPT_NAME,
    CalibrationConfig,
    IouSamples,
    collect,
    fit,
    judge_loss,
    predict,
    report,
    threshold_like,
)
from training.starter.data import Pool
from training.starter.recipe import JUDGES

CONFIG = CalibrationConfig(num_views=4, max_masks=3, holdout_share=0.25, batch_prompts=8)


@pytest.fixture
def pool(tmp_path: Path) -> Pool:
    """One image of two bright squares."""
    image = np.full((160, 160, 3), 30, np.uint8)
    layers = np.zeros((1, 160, 160), np.int16)
    for number, start in enumerate((20, 90), start=1):
        image[start : start + 50, start : start + 50] = 220
        layers[0, start : start + 50, start : start + 50] = number
    path = tmp_path / "image.npz"
    LabelledImage(image, layers).save(path)
    return Pool(photos_by_source={"squares": (path,)}, scenes=(path,))


@pytest.fixture
def model() -> Sam:
    return build("tiny", seed=1).eval()


def test_what_was_seen_predicts_what_the_decoder_predicted(model: Sam, pool: Pool) -> None:
    judged = collect(model, pool, CONFIG)

    assert judged.num_views == 4
    assert 0 < int(judged.is_box.sum()) < len(judged.view)
    with torch.no_grad():
        again = predict(model, judged.inputs.float())
    assert torch.allclose(again, judged.predicted, atol=5e-3)  # seen is kept in float16


def test_a_cut_off_collection_goes_on_to_the_same_rows(
    model: Sam, pool: Pool, tmp_path: Path
) -> None:
    whole = collect(model, pool, CONFIG)
    kept = tmp_path / KEPT_NAME

    collect(model, pool, replace(CONFIG, num_views=2), kept=kept)
    resumed = collect(model, pool, CONFIG, kept=kept)

    for name, column in whole.columns().items():
        assert torch.equal(column, resumed.columns()[name])


def test_the_fit_learns_which_mask_is_best_and_moves_the_judges_alone(model: Sam) -> None:
    """The best of three is the one whose token says so, which the untrained judges ignore."""
    generator = torch.Generator().manual_seed(0)
    width = collect_width(model)
    best = torch.randint(3, (600,), generator=generator)
    true_iou = torch.full((600, 4), 0.2)
    true_iou[torch.arange(600), 1 + best] = 0.9
    seen = 0.1 * torch.randn(600, 4, width, generator=generator)
    seen[torch.arange(600), 1 + best, -1] += 1.0
    with torch.no_grad():
        predicted = predict(model, seen)
    judged = IouSamples(
        inputs=seen.half(),
        predicted=predicted,
        true_iou=true_iou,
        view=torch.arange(600),
        is_box=torch.zeros(600, dtype=torch.bool),
    )
    weights = {name: tensor.clone() for name, tensor in model.state_dict().items()}

    before, after = fit(model, judged, replace(CONFIG, epochs=10, learning_rate=3e-3))

    assert before.best == pytest.approx(0.9)
    assert before.picked < 0.7
    assert after.picked > 0.85
    assert after.error < before.error
    changed = {n for n, t in model.state_dict().items() if not torch.equal(t, weights[n])}
    assert changed
    assert all(name.startswith(JUDGES) for name in changed)


def collect_width(model: Sam) -> int:
    """Return how many numbers the judges see of a mask."""
    head = model.mask_decoder.iou_from_masks
    assert head is not None
    return int(head.mlp.layers[0].in_features)


def test_the_loss_adds_the_order_of_the_three_masks_to_the_squared_error() -> None:
    predicted = torch.tensor([[0.0, 0.1, 0.0, 0.0]])
    true_iou = torch.tensor([[0.0, 0.1, 0.0, 0.0]])
    config = replace(CONFIG, rank_weight=2.0, rank_scale=0.1)

    # no error; both softmaxes are e, 1, 1 over e + 2, so the cross-entropy is their entropy
    total = math.e + 2
    entropy = math.log(total) - math.e / total
    loss = judge_loss(predicted, true_iou, config)
    assert float(loss) == pytest.approx(2 * entropy, rel=1e-5)


def test_a_report_looks_at_the_three_masks_of_one_click() -> None:
    predicted = torch.tensor([[0.9, 0.1, 0.6, 0.2], [0.0, 0.5, 0.2, 0.2]])
    true_iou = torch.tensor([[0.0, 0.8, 0.4, 0.2], [1.0, 0.5, 0.2, 0.2]])

    result = report(predicted, true_iou)

    assert result.picked == pytest.approx((0.4 + 0.5) / 2)
    assert result.best == pytest.approx((0.8 + 0.5) / 2)
    assert result.error == pytest.approx((0.7 + 0.2 + 0) / 6)


def test_a_threshold_is_carried_over_by_the_share_that_passes() -> None:
    before = torch.linspace(0, 1, 1001)

    assert threshold_like(0.3, before=before, after=before * 2) == pytest.approx(0.6, abs=0.01)


def test_a_model_without_such_judges_is_refused(pool: Pool) -> None:
    with pytest.raises(ValueError, match="without looking"):
        predict(build("tiny_vit", seed=0), torch.zeros(1, 4, 16))
