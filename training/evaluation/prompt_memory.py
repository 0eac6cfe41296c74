"""Prompt memory: give a model the clicks and boxes people gave, and see whether their masks come.

Simulated clicks follow the model they correct; these are the prompts of people who worked with
another model, so they tell whether a new one still understands them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sam.coordinates import Frame, as_tensor
from sam.modeling.features import ImageFeatures
from sam.modeling.model import Sam
from sam.prompting.selection import PROMPTS_PER_BOX, PROMPTS_PER_MASK, choose
from sam.prompts import Prompts
from training.data.features import load_image
from training.data.manifest import ImageRecord, ManifestError, MaskRecord
from training.evaluation.metrics import FloatArray, quantiles, resampled_means
from training.evaluation.sessions import iou

MAX_POINTS = 20
"""Longer sequences are cut: what matters was said long before."""
MASKS_PER_IMAGE = 16
ALIKE_IOU = 0.75
"""Better agreement counts no further. The remembered masks are mostly the serving model's own
answers to these very prompts, so it meets them to the pixel and another model cannot; only a
candidate that no longer makes the same object has forgotten. The paper's audit draws its line
here too (section 5)."""

Key = tuple[str, str]
"""Image id and mask id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What was given for one mask, in order. box: x0, y0, x1, y1 or None. Image pixels."""

    points_xyl: tuple[tuple[float, float, int], ...]
    box_xyxy_px: tuple[float, float, float, float] | None

    @property
    def shape(self) -> tuple[int, bool]:
        """Masks of one shape are decoded together."""
        return len(self.points_xyl), self.box_xyxy_px is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryReport:
    """Mean IoU with the accepted masks, of the serving model and of the candidate.

    mean, low, high: the difference and its 95 % bootstrap interval over images, each IoU counted
    up to ALIKE_IOU; worse_share: the share of draws that say "worse".
    """

    serving: float
    candidate: float
    mean: float
    low: float
    high: float
    worse_share: float
    num_masks: int

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def sequence_of(prompts: Sequence[Mapping[str, Any]]) -> Given | None:
    """Read the points and the last box of stored prompts; None when there is nothing to replay.

    Strokes and other work by hand are passed over: no model answers them.
    """
    points: list[tuple[float, float, int]] = []
    box: tuple[float, float, float, float] | None = None
    for one in prompts:
        try:
            if one.get("type") == "point":
                points.append((float(one["x_px"]), float(one["y_px"]), int(one["label"])))
            elif one.get("type") == "box":
                x0, y0, x1, y1 = (float(one[f"{name}_px"]) for name in ("x0", "y0", "x1", "y1"))
                box = (x0, y0, x1, y1)
        except (KeyError, TypeError, ValueError):
            return None
    numbers = [value for point in points for value in point] + list(box or ())
    if not (points or box) or not all(map(math.isfinite, numbers)):
        return None
    if box is None and not any(label == 1 for _, _, label in points):
        return None
    return Given(points_xyl=tuple(points[:MAX_POINTS]), box_xyxy_px=box)


@torch.no_grad()
def replay_memory(
    model: Sam,
    images: Sequence[ImageRecord],
    *,
    on_image: Callable[[int], object] = lambda done: None,
) -> dict[Key, float]:
    """Return the IoU of each mask that has prompts with what the model makes of them.

    Prompt after prompt, each answer fed back with the next, as the labelling page does. At most
    MASKS_PER_IMAGE masks a record (an image or a crop), spread evenly; images that cannot be
    read are left out.
    """
    model.eval()
    ious: dict[Key, float] = {}
    for done, image in enumerate(images, start=1):
        remembered = [(m, s) for m in image.masks if (s := sequence_of(m.prompts)) is not None]
        chosen = _spread(remembered)
        if chosen:
            try:
                pixels = load_image(image)
            except ManifestError:
                continue
            features = model.encode(model.preprocess(pixels))
            ious |= _replay_image(model, image, features, chosen)
        on_image(done)
    return ious


def compare_memory(serving: Mapping[Key, float], candidate: Mapping[Key, float]) -> MemoryReport:
    """Compare two models on the same sequences. ValueError when they have none in common."""
    keys = sorted(serving.keys() & candidate.keys())
    if not keys:
        raise ValueError("no prompts are remembered")
    before, after = (np.array([one[key] for key in keys]) for one in (serving, candidate))
    changes: FloatArray = np.minimum(after, ALIKE_IOU) - np.minimum(before, ALIKE_IOU)
    means = resampled_means(changes, groups=[image_id for image_id, _ in keys], seed=0)
    low, high = quantiles(means)
    return MemoryReport(
        serving=float(before.mean()),
        candidate=float(after.mean()),
        mean=float(changes.mean()),
        low=low,
        high=high,
        worse_share=float((means < 0).mean()),
        num_masks=len(keys),
    )


def _spread(
    remembered: Sequence[tuple[MaskRecord, Given]],
) -> list[tuple[MaskRecord, Given]]:
    step = max(1, math.ceil(len(remembered) / MASKS_PER_IMAGE))
    return list(remembered[::step])


def _replay_image(
    model: Sam,
    image: ImageRecord,
    features: ImageFeatures,
    chosen: Sequence[tuple[MaskRecord, Given]],
) -> dict[Key, float]:
    frame = Frame(image.image_hw, model.config.image_size_px)
    by_shape: dict[tuple[int, bool], list[tuple[MaskRecord, Given]]] = {}
    for mask, sequence in chosen:
        by_shape.setdefault(sequence.shape, []).append((mask, sequence))
    ious: dict[Key, float] = {}
    for group in by_shape.values():
        logits = _answers(model, features, frame, [sequence for _, sequence in group])
        predicted = (frame.to_image_logits(logits)[:, 0] > 0).cpu().numpy()
        for (mask, _), answer in zip(group, predicted, strict=True):
            ious[image.image_id, mask.mask_id] = iou(mask.rle.decode(), answer)
    return ious


def _answers(
    model: Sam, features: ImageFeatures, frame: Frame, sequences: Sequence[Given]
) -> Tensor:
    """Return the last answers (N, 1, S/4, S/4) to sequences of one shape."""
    num_points, has_box = sequences[0].shape
    boxes = points = labels = logits = None
    device, height, width = model.device, *frame.image_hw
    if has_box:
        raw = np.array([one.box_xyxy_px for one in sequences])
        boxes = as_tensor(frame.boxes_to_model(raw), device=device)
    if num_points:
        array = np.array([one.points_xyl for one in sequences])
        inside = np.clip(array[..., :2], 0, [width, height])
        points = as_tensor(frame.to_model(inside), device=device)
        labels = torch.as_tensor(array[..., 2], dtype=torch.int64, device=device)
    for count in range(0 if has_box else 1, num_points + 1):
        so_far = None if points is None or not count else points[:, :count]
        said = None if labels is None or not count else labels[:, :count]
        prompts = Prompts.make(so_far, said, boxes, logits)
        num_prompts = count + PROMPTS_PER_BOX * has_box + PROMPTS_PER_MASK * (logits is not None)
        logits = choose(model.decode(features, prompts), num_prompts).low_res_logits[:, None]
    assert logits is not None  # a sequence has a point or a box
    return logits
