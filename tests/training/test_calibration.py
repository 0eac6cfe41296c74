"""How far predicted IoU can be believed, and whether a mask alone is answered by itself."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from sam.modeling.features import ImageFeatures
from sam.modeling.model import Decoded, Prompts
from tests.training.blobs import write_blobs
from tests.training.oracle import Oracle, oracle
from training.evaluation.evaluate import Measures, evaluate
from training.evaluation.metrics import calibration_of
from training.evaluation.report import table


@pytest.fixture
def blobs(tmp_path: Path) -> Path:
    return write_blobs(tmp_path / "data", num_train=0, num_holdout=1)


def test_predicted_iou_is_compared_with_what_a_user_gets(blobs: Path) -> None:
    measures = Measures(calibration=True)

    metrics = evaluate(oracle(blobs), blobs, clicks=(1,), measures=measures)

    # One click is answered by mask 1, empty and predicted at 0.9; a box by the single mask at 0.1.
    assert metrics.mean("predicted_1") == pytest.approx(0.9)
    assert metrics.mean("predicted_box") == pytest.approx(0.1)
    assert metrics.calibration("clicks_1", "predicted_1").error == pytest.approx(0.9)
    by_box = metrics.calibration("box", "predicted_box")
    assert by_box.error == pytest.approx(metrics.mean("box") - 0.1)
    assert np.isnan(by_box.correlation)  # it predicts the same for all
    assert "predicted IoU" in table(metrics)


def test_calibration_is_measured_in_bins_of_predicted_iou() -> None:
    predicted = np.array([0.11, 0.19, 0.55, 1.3])
    true = np.array([0.05, 0.25, 0.15, 1.0])

    found = calibration_of(predicted, true)

    # the first two are off by 0.06 each, against each other; 0.55 by 0.40; 1.3 counts as 1
    assert found.error == pytest.approx(0.40 / 4)
    assert found.correlation == pytest.approx(np.corrcoef([0.11, 0.19, 0.55, 1.0], true)[0, 1])


def test_an_answer_is_asked_for_again_by_its_logits_alone(blobs: Path) -> None:
    asked: list[Prompts] = []

    class Copying(Oracle):
        """Answers a mask alone with that mask, all else as the oracle."""

        def decode(
            self, features: ImageFeatures, prompts: Prompts, *, min_iou: float | None = None
        ) -> Decoded:
            if prompts.point_coords.shape[1]:
                return super().decode(features, prompts, min_iou=min_iou)
            asked.append(prompts)
            assert prompts.low_res_logits is not None
            logits = prompts.low_res_logits.repeat(1, 4, 1, 1)
            logits[:, 1:] = -1.0  # what answers an ambiguous prompt
            return Decoded(logits, torch.full((len(prompts), 4), 0.5))

    plain = oracle(blobs)
    model = Copying(plain.config)
    model.truths, model.seen = plain.truths, []

    metrics = evaluate(model.eval(), blobs, clicks=(1,), measures=Measures(own_mask=True))

    assert metrics.mean("own_mask") == 1.0
    assert [len(prompts) for prompts in asked] == [3]
