from __future__ import annotations

import sys

import numpy as np
import pytest
import torch

from tests.peers.torchvision_stand_in import batched_nms, standing_in


def greedy(boxes: np.ndarray, scores: np.ndarray, threshold: float) -> list[int]:
    """Write suppression down pair by pair, in float32 as torchvision's kernel computes."""
    kept: list[int] = []
    for i in sorted(range(len(scores)), key=lambda i: (-scores[i], i)):
        for j in kept:
            low, high = (
                np.maximum(boxes[i, :2], boxes[j, :2]),
                np.minimum(boxes[i, 2:], boxes[j, 2:]),
            )
            shared = np.float32(max(0, high[0] - low[0]) * max(0, high[1] - low[1]))
            areas = [(b[2] - b[0]) * (b[3] - b[1]) for b in (boxes[i], boxes[j])]
            union = areas[0] + areas[1] - shared
            if union > 0 and float(np.float32(shared / union)) > threshold:
                break
        else:
            kept.append(i)
    return kept


@pytest.mark.parametrize("threshold", [0.0, 0.3, 0.7, 1.0])
def test_suppression_is_the_one_written_down_pair_by_pair(threshold: float) -> None:
    random = np.random.default_rng(3)
    low = random.integers(0, 30, (120, 2))
    boxes = np.concatenate([low, low + random.integers(0, 25, (120, 2))], 1).astype(np.float32)
    scores = random.integers(0, 9, 120).astype(np.float32)  # many are equal

    kept = batched_nms(
        torch.from_numpy(boxes), torch.from_numpy(scores), torch.zeros(120), threshold
    )

    assert 1 < len(kept) < 120 or threshold == 1.0
    assert kept.tolist() == greedy(boxes, scores, threshold)


def test_nothing_is_kept_of_nothing_and_two_categories_are_refused() -> None:
    assert batched_nms(torch.zeros(0, 4), torch.zeros(0), torch.zeros(0), 0.5).tolist() == []
    with pytest.raises(NotImplementedError):
        batched_nms(torch.zeros(2, 4), torch.zeros(2), torch.arange(2), 0.5)


def test_the_stand_in_leaves_when_its_block_ends() -> None:
    with standing_in():
        from torchvision.ops.boxes import batched_nms as found

        assert found is batched_nms

    assert not [name for name in sys.modules if name.split(".")[0] == "torchvision"]
