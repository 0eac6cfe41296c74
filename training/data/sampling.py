"""Which images a step learns from: sources by the square root of their size, images evenly."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import torch


def image_weights(sources: Sequence[str]) -> torch.Tensor:
    """Return one probability per image.

    A source weighs the square root of its image count: one large source must not drown the rest.
    """
    counts = Counter(sources)
    weights = torch.tensor([counts[source] ** -0.5 for source in sources], dtype=torch.float64)
    return weights / weights.sum()


def draw_images(weights: torch.Tensor, *, num: int, generator: torch.Generator) -> list[int]:
    """Draw up to `num` different image indices."""
    num = min(num, len(weights))
    drawn = torch.multinomial(weights, num, replacement=False, generator=generator)
    return [int(index) for index in drawn]
