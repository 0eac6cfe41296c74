"""Two evaluations side by side: intervals, slices, and the probe of a real model."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from masks.rle import Rle
from sam.modeling.model import build
from tests.training.blobs import write_blobs
from training.data.manifest import ImageRecord, ManifestError, MaskRecord, open_dataset
from training.evaluation.comparison import ALL, KINDS, compare, probe
from training.evaluation.metrics import MaskScore, Metrics


def image(name: str, sides_px: list[int]) -> ImageRecord:
    records = []
    for place, side_px in enumerate(sides_px):
        mask = np.zeros((128, 128), dtype=bool)
        mask[:side_px, :side_px] = True
        records.append(MaskRecord(mask_id=f"{name}{place}", rle=Rle.encode(mask)))
    return ImageRecord(
        image_path=Path(f"{name}.png"),
        image_id=name,
        image_hw=(128, 128),
        split="holdout",
        source=name,
        features_path=None,
        masks=tuple(records),
    )


def scores(values: dict[str, list[float]]) -> Metrics:
    return Metrics(
        scores=tuple(
            MaskScore(
                image_id=name,
                mask_id=f"{name}{place}",
                source=name,
                ious=dict.fromkeys(KINDS, value),
            )
            for name, row in values.items()
            for place, value in enumerate(row)
        )
    )


def test_a_gain_is_split_by_size_and_source() -> None:
    images = [image("a", [10, 50]), image("b", [120])]
    before = scores({"a": [0.5, 0.5], "b": [0.5]})
    after = scores({"a": [0.3, 0.7], "b": [0.9]})

    found = compare(before, after, images=images)

    assert found.differences[ALL].mean == pytest.approx((-0.2 + 0.2 + 0.4) / 3)
    assert set(found.differences) == {ALL, *KINDS}
    assert {name: round(one.mean, 6) for name, one in found.slices.items()} == {
        "small objects": -0.2,
        "medium objects": 0.2,
        "large objects": 0.4,
        "source a": 0.0,
        "source b": 0.4,
    }


def test_draws_of_images_vote_on_worse() -> None:
    """Of two images one wins 0.1 and one loses 0.2: only the draw of two wins says better."""
    images = [image("a", [10]), image("b", [10])]

    found = compare(
        scores({"a": [0.5], "b": [0.5]}), scores({"a": [0.6], "b": [0.3]}), images=images
    )

    assert found.differences[ALL].worse_share == pytest.approx(0.75, abs=0.05)
    assert found.differences[ALL].low == pytest.approx(-0.2)


def test_the_serving_models_own_edges_are_no_advantage() -> None:
    images = [image("a", [10]), image("b", [10])]

    found = compare(
        scores({"a": [1.0], "b": [0.98]}), scores({"a": [0.92], "b": [0.8]}), images=images
    )

    assert found.differences[ALL].mean == pytest.approx((0.0 - 0.1) / 2)


def test_a_probe_counts_answers_and_passes_over_unreadable_images(tmp_path: Path) -> None:
    manifest = write_blobs(tmp_path, num_train=2)
    images = open_dataset(manifest, split="train").require_split("train")
    images[0].image_path.write_bytes(b"no image")

    seen = probe(build("tiny", seed=0), images)

    assert seen.is_finite
    assert seen.num_masks == len(images[1].masks)
    assert 0 <= seen.hit_share <= 1 - seen.empty_share
    assert min(seen.encode_ms, seen.decode_ms) > 0
    json.dumps(seen.to_json())
    with pytest.raises(ManifestError, match="no held-out image can be read"):
        probe(build("tiny", seed=0), images[:1])
