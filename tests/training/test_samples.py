"""The images of an evaluation: which images, how many panels, and what is painted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sam.modeling.model import build
from tests.training.blobs import write_blobs
from training.evaluation.evaluate import evaluate
from training.evaluation.samples import Samples


@pytest.mark.parametrize(
    ("total", "expected"), [(3, [0, 1, 2]), (4, [0, 1, 2, 3]), (8, [0, 2, 4, 6])]
)
def test_images_are_spread_evenly(total: int, expected: list[int]) -> None:
    samples = Samples(Path("unused"), max_images=4)

    assert [place for place in range(total) if samples.wants(place, total)] == expected


def test_an_evaluation_draws_truth_and_answers_side_by_side(tmp_path: Path) -> None:
    manifest = write_blobs(tmp_path, num_train=1, num_holdout=3)

    evaluate(
        build("tiny", seed=0),
        manifest,
        samples=Samples(tmp_path / "seen", max_images=2),
        clicks=(1, 5),
    )

    drawn = sorted((tmp_path / "seen").iterdir())
    assert len(drawn) == 2
    with Image.open(drawn[0]) as sheet:
        pixels = np.asarray(sheet.convert("RGB"))
    panels = np.array_split(pixels, 4, axis=1)
    assert all(panel.std() > 0 for panel in panels)
    # The truth is painted: its panel differs from that of an untrained model's box.
    assert not np.array_equal(panels[0][30:], panels[3][30:])
