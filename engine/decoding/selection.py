"""Which of the decoder's four masks answer the prompts (as sam/prompting/selection.py)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from engine.decoding.prompts import DecoderPrompts

SINGLE_MASK = 0
AMBIGUITY_MASKS = (1, 2, 3)
PROMPTS_PER_BOX = 2
PROMPTS_PER_MASK = 2


def num_prompts(prompts: DecoderPrompts, *, has_mask_input: bool) -> int:
    """Count prompts as the selection does: a click is one, a box and an earlier mask two each."""
    return (
        len(prompts.points)
        + PROMPTS_PER_BOX * (prompts.box is not None)
        + PROMPTS_PER_MASK * has_mask_input
    )


def choose_masks(
    predicted_iou: NDArray[np.float32],
    *,
    num_prompts: int,
    is_crossed: Callable[[int], bool] | None = None,
) -> list[int]:
    """Return indices of the masks to offer, best first.

    One click is ambiguous: masks 1..3 by predicted IoU, those that hold a background click
    (is_crossed) last. More, or a box, which counts as two: mask 0.
    """
    if num_prompts > 1:
        return [SINGLE_MASK]
    crossed = {index for index in AMBIGUITY_MASKS if is_crossed is not None and is_crossed(index)}
    return sorted(
        AMBIGUITY_MASKS,
        key=lambda index: (index in crossed, -float(predicted_iou[index]), index),
    )
