"""Measure a promptable model: k-click and box IoU on held-out masks (paper section 7.1, D.1).

Point 1 is the deepest point of the mask; each next one the deepest point of the error region.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from masks.boxes import xywh_to_xyxy
from masks.regions import deepest_point
from sam import checkpoints
from sam.coordinates import Frame, as_tensor
from sam.features import ImageFeatures
from sam.model import Decoded, Prompts, Sam
from sam.selection import choose
from training.features import FeatureStore
from training.loop import OnProgress, no_progress
from training.manifest import ImageRecord, MaskRecord, Side, open_dataset
from training.metrics import MaskScore, Metrics

DEFAULT_CLICKS = (1, 3, 5)
MASKS_PER_BATCH = 16
PIXELS_PER_BATCH = 16_000_000  # upscaled logits of a batch of large photos must fit in memory

Mask = NDArray[np.bool_]


def evaluate(
    checkpoint: Path | Sam,
    manifest_path: Path,
    *,
    side: Side = "holdout",
    clicks: Sequence[int] = DEFAULT_CLICKS,
    max_masks_per_image: int | None = None,
    max_images: int | None = None,
    on_progress: OnProgress = no_progress,
) -> Metrics:
    """Measure a checkpoint on one side of a manifest, or on a COCO folder.

    Kinds of IoU: `clicks_<k>`, `oracle_1` (best of the three masks after one click), `box` (the
    exact box of the mask), and `fill_box`, the baseline that fills that box. Which mask counts is
    the model's own rule. max_masks_per_image: draw that many of an image's masks, always the same.
    Raises ManifestError and CheckpointError.
    """
    images = open_dataset(Path(manifest_path), side=side).require_side(side)[:max_images]
    model = checkpoint if isinstance(checkpoint, Sam) else checkpoints.load(checkpoint)
    model.eval()
    store = FeatureStore(model, cache_dir=None)
    scores: list[MaskScore] = []
    for index, image in enumerate(images, start=1):
        masks = drawn_masks(image, max_masks=max_masks_per_image)
        scores.extend(_score_image(model, store.get(image), image, masks, clicks=clicks))
        on_progress(index / len(images), f"measured {index} of {len(images)} images")
    return Metrics(scores=tuple(scores))


def drawn_masks(image: ImageRecord, *, max_masks: int | None) -> tuple[MaskRecord, ...]:
    """Return at most `max_masks` masks of an image: a fixed random choice, whatever the order."""
    if max_masks is None or len(image.masks) <= max_masks:
        return image.masks

    def rank(mask: MaskRecord) -> str:
        return hashlib.sha256(f"{image.image_path.name}:{mask.mask_id}".encode()).hexdigest()

    return tuple(sorted(image.masks, key=rank)[:max_masks])


def next_click(truth: Mask, predicted: Mask) -> tuple[int, int, int] | None:
    """Return (x, y, label) of the deepest point of the error region; None when there is no error.

    Label 1 adds a missed part, label 0 removes a wrong one.
    """
    best: tuple[float, int, int, int] | None = None
    for label, region in ((1, truth & ~predicted), (0, predicted & ~truth)):
        if region.any():
            depth, x, y = _deepest(region)
            if best is None or depth > best[0]:
                best = (depth, x, y, label)
    return None if best is None else best[1:]


def iou(truth: Mask, predicted: Mask) -> float:
    """Return the IoU of two masks; 1 when both are empty."""
    union = int((truth | predicted).sum())
    return 1.0 if union == 0 else int((truth & predicted).sum()) / union


def _score_image(
    model: Sam,
    features: ImageFeatures,
    image: ImageRecord,
    masks: Sequence[MaskRecord],
    *,
    clicks: Sequence[int],
) -> Iterator[MaskScore]:
    frame = Frame(image.image_hw, model.config.image_size_px)
    num_pixels = image.image_hw[0] * image.image_hw[1]
    batch_size = min(MASKS_PER_BATCH, max(1, PIXELS_PER_BATCH // num_pixels))
    for start in range(0, len(masks), batch_size):
        batch = masks[start : start + batch_size]
        boxes_xyxy_px = xywh_to_xyxy(np.array([m.rle.bbox_xywh_px for m in batch], dtype=float))
        session = _Session(model, features, frame, truths=[m.rle.decode() for m in batch])
        by_clicks = session.click_ious(clicks)
        by_box = session.box_ious(boxes_xyxy_px)
        for index, mask in enumerate(batch):
            ious = {kind: float(values[index]) for kind, values in by_clicks.items()}
            _, _, width_px, height_px = mask.rle.bbox_xywh_px
            ious["box"] = float(by_box[index])
            ious["fill_box"] = mask.rle.area_px / (width_px * height_px)
            yield MaskScore(
                image_id=image.image_id, mask_id=mask.mask_id, source=image.source, ious=ious
            )


class _Session:
    """Prompts a batch of masks of one image, each as an annotator would."""

    def __init__(
        self, model: Sam, features: ImageFeatures, frame: Frame, *, truths: Sequence[Mask]
    ) -> None:
        self.model = model
        self.features = features
        self.frame = frame
        self.truths = truths

    def box_ious(self, boxes_xyxy_px: NDArray[np.float64]) -> list[float]:
        """Return the IoU after the exact box alone."""
        boxes = as_tensor(self.frame.boxes_to_model(boxes_xyxy_px), device=self.model.device)
        chosen = choose(self._decode(Prompts.make(boxes=boxes)), 1)
        predicted = self._to_masks(chosen.low_res_logits[:, None])
        return [iou(truth, masks[0]) for truth, masks in zip(self.truths, predicted, strict=True)]

    def click_ious(self, clicks: Sequence[int]) -> dict[str, list[float]]:
        """Return the IoUs after k clicks and the best of three after one.

        An annotator stops at a perfect mask: its IoU stays 1 from there on.
        """
        results = {f"clicks_{k}": [1.0] * len(self.truths) for k in clicks}
        points = [[(*deepest_point(truth), 1)] for truth in self.truths]
        active = list(range(len(self.truths)))
        fed_back: Tensor | None = None
        for num_clicks in range(1, max(clicks) + 1):
            decoded = self._decode(self._prompts([points[i] for i in active], fed_back))
            if num_clicks == 1:
                results["oracle_1"] = self._oracle_ious(decoded)
            chosen = choose(decoded, num_clicks)
            predicted = [m[0] for m in self._to_masks(chosen.low_res_logits[:, None])]
            going_on = []
            for row, index in enumerate(active):
                if num_clicks in clicks:
                    results[f"clicks_{num_clicks}"][index] = iou(self.truths[index], predicted[row])
                click = next_click(self.truths[index], predicted[row])
                if click is not None:
                    points[index].append(click)
                    going_on.append(row)
            if not going_on:
                break
            active = [active[row] for row in going_on]
            fed_back = chosen.low_res_logits[going_on][:, None]
        return results

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


def _deepest(region: Mask) -> tuple[float, int, int]:
    rows, columns = np.flatnonzero(region.any(axis=1)), np.flatnonzero(region.any(axis=0))
    y0, x0 = int(rows[0]), int(columns[0])
    crop = region[y0 : rows[-1] + 1, x0 : columns[-1] + 1]
    depth = ndimage.distance_transform_edt(np.pad(crop, 1))[1:-1, 1:-1]
    y, x = np.unravel_index(int(depth.argmax()), depth.shape)
    return float(depth[y, x]), x0 + int(x), y0 + int(y)
