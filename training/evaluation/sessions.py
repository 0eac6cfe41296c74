"""A simulated annotator at the model: clicks on the deepest error, or an exact box.

Paper sections 7.1 and D.1: point 1 is the deepest point of the mask, each next one the deepest
point of the error region. Masks of one image are prompted together.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from masks.regions import deepest, deepest_point
from sam.coordinates import Frame, as_tensor
from sam.modeling.features import ImageFeatures
from sam.modeling.model import Decoded, Prompts, Sam
from sam.prompting.selection import PROMPTS_PER_BOX, PROMPTS_PER_MASK, choose

Mask = NDArray[np.bool_]
OnMask = Callable[[int, int, Mask], object]
"""Hears the place of a mask, its number of clicks (0: the box), and what the model answered."""


def iou(truth: Mask, predicted: Mask) -> float:
    """Return the IoU of two masks; 1 when both are empty."""
    union = int((truth | predicted).sum())
    return 1.0 if union == 0 else int((truth & predicted).sum()) / union


def next_click(truth: Mask, predicted: Mask) -> tuple[int, int, int] | None:
    """Return (x, y, label) of the deepest point of the error region; None when there is no error.

    Label 1 adds a missed part, label 0 removes a wrong one.
    """
    best: tuple[float, int, int, int] | None = None
    for label, region in ((1, truth & ~predicted), (0, predicted & ~truth)):
        if region.any():
            depth, x, y = deepest(region)
            if best is None or depth > best[0]:
                best = (depth, x, y, label)
    return None if best is None else best[1:]


@dataclass(frozen=True, slots=True)
class BoxAnswers:
    """What boxes were answered by, one entry a mask: masks (N, H, W) bool, the rest (N, ...)."""

    ious: list[float]
    predicted_ious: list[float]
    masks: NDArray[np.bool_]
    low_res_logits: Tensor


class Session:
    """Prompts a batch of masks of one image, each as an annotator would."""

    def __init__(
        self, model: Sam, features: ImageFeatures, frame: Frame, *, truths: Sequence[Mask]
    ) -> None:
        self.model = model
        self.features = features
        self.frame = frame
        self.truths = truths
        self.first_clicks = [deepest_point(truth) for truth in truths]

    def by_box(self, boxes_xyxy_px: NDArray[np.float64], *, on_mask: OnMask) -> BoxAnswers:
        """Answer the exact box alone."""
        boxes = as_tensor(self.frame.boxes_to_model(boxes_xyxy_px), device=self.model.device)
        chosen = choose(self._decode(Prompts.make(boxes=boxes)), PROMPTS_PER_BOX)
        masks = self._to_masks(chosen.low_res_logits[:, None])[:, 0]
        for index, mask in enumerate(masks):
            on_mask(index, 0, mask)
        return BoxAnswers(
            ious=[iou(truth, mask) for truth, mask in zip(self.truths, masks, strict=True)],
            predicted_ious=chosen.predicted_iou.tolist(),
            masks=masks,
            low_res_logits=chosen.low_res_logits,
        )

    def again(self, answers: BoxAnswers) -> list[float]:
        """Return the IoU of each answer with what its own logits alone are answered by."""
        prompts = Prompts.make(low_res_logits=answers.low_res_logits[:, None])
        chosen = choose(self._decode(prompts), PROMPTS_PER_MASK)
        masks = self._to_masks(chosen.low_res_logits[:, None])[:, 0]
        return [iou(before, mask) for before, mask in zip(answers.masks, masks, strict=True)]

    def click_ious(
        self, max_clicks: int, *, on_mask: OnMask
    ) -> tuple[NDArray[np.float64], list[float], list[float]]:
        """Return IoUs (N, max_clicks) by clicks; after one, the best of three and the prediction.

        The latter two are (N,): IoU of the best of the three masks, predicted IoU of the picked
        one. An annotator stops at a perfect mask: its IoU stays 1 from there on.
        """
        ious = np.ones((len(self.truths), max_clicks))
        oracle: list[float] = []
        predicted_ious: list[float] = []
        points = [[(x, y, 1)] for x, y in self.first_clicks]
        active = list(range(len(self.truths)))
        fed_back: Tensor | None = None
        for num_clicks in range(1, max_clicks + 1):
            decoded = self._decode(self._prompts([points[i] for i in active], fed_back))
            if num_clicks == 1:
                oracle = self._oracle_ious(decoded)
            chosen = choose(decoded, num_clicks)
            if num_clicks == 1:
                predicted_ious = chosen.predicted_iou.tolist()
            predicted = self._to_masks(chosen.low_res_logits[:, None])[:, 0]
            going_on = []
            for row, index in enumerate(active):
                ious[index, num_clicks - 1] = iou(self.truths[index], predicted[row])
                on_mask(index, num_clicks, predicted[row])
                if num_clicks == max_clicks:
                    continue
                click = next_click(self.truths[index], predicted[row])
                if click is not None:
                    points[index].append(click)
                    going_on.append(row)
            if not going_on:
                break
            active = [active[row] for row in going_on]
            fed_back = chosen.low_res_logits[going_on][:, None]
        return ious, oracle, predicted_ious

    def _oracle_ious(self, decoded: Decoded) -> list[float]:
        predicted = self._to_masks(decoded.low_res_logits[:, 1:])
        return [
            max(iou(truth, mask) for mask in masks)
            for truth, masks in zip(self.truths, predicted, strict=True)
        ]

    def _prompts(
        self, points: Sequence[Sequence[tuple[int, int, int]]], fed_back: Tensor | None
    ) -> Prompts:
        array = np.array(points, dtype=np.float64)
        coords = as_tensor(self.frame.to_model(array[..., :2]), device=self.model.device)
        labels = torch.as_tensor(array[..., 2], dtype=torch.int64, device=self.model.device)
        return Prompts.make(coords, labels, low_res_logits=fed_back)

    @torch.no_grad()
    def _decode(self, prompts: Prompts) -> Decoded:
        return self.model.decode(self.features, prompts)

    def _to_masks(self, low_res_logits: Tensor) -> NDArray[np.bool_]:
        logits = self.frame.to_image_logits(low_res_logits)
        return np.asarray((logits > 0).cpu().numpy())
