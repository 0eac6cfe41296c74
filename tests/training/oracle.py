"""A model that knows the truth, for tests of how models are measured."""

from __future__ import annotations

from pathlib import Path

import torch

from sam.coordinates import Frame
from sam.modeling.features import ImageFeatures
from sam.modeling.model import Decoded, Prompts, Sam, build
from training.data.manifest import read_manifest
from training.data.targets import model_masks


class Oracle(Sam):
    """A model that knows the truth: it answers every prompt with the mask under its first click.

    Its logits are drawn on the fly from `truths`; mask 2 of 4 is the right one.
    """

    truths: torch.Tensor  # (M, S/4, S/4) bool
    good_index = 2
    seen: list[Prompts]

    def decode(
        self, features: ImageFeatures, prompts: Prompts, *, min_iou: float | None = None
    ) -> Decoded:
        self.seen.append(prompts)
        num = len(prompts)
        logits = torch.full((num, 4, 32, 32), -10.0)
        predicted_iou = torch.full((num, 4), 0.1)
        for row in range(num):
            truth = self._truth_at(prompts, row)
            logits[row, self.good_index][truth] = 10.0
            logits[row, 0][truth] = 10.0
        predicted_iou[:, 1] = 0.9 if self.good_index != 1 else 0.1
        if min_iou is None:
            return Decoded(logits, predicted_iou)
        rows = (predicted_iou[:, 1:] > min_iou).any(1).nonzero().flatten()
        return Decoded(logits[rows], predicted_iou[rows], rows)

    def _truth_at(self, prompts: Prompts, row: int) -> torch.Tensor:
        first, second = prompts.point_coords[row, :2] / 4
        is_box = bool((prompts.point_labels[row] == 2).any())
        x, y = (first + second) / 2 if is_box else first
        inside = self.truths[:, int(y), int(x)]
        return self.truths[int(inside.int().argmax())]


def oracle(manifest: Path) -> Oracle:
    (image,) = read_manifest(manifest).images
    frame = Frame(image.image_hw, 128)
    masks = model_masks([mask.rle for mask in image.masks], frame=frame)
    model = Oracle(build("tiny", seed=0).config)
    model.truths = masks[:, 2::4, 2::4]
    model.seen = []
    return model.eval()
