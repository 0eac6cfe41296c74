"""Measure a promptable model on held-out masks: clicks, boxes, outlines, and what needs no model.

Paper sections 7.1, 7.3, D.1 and D.3. The annotator is in `sessions`, the sums in `metrics`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from masks.boxes import xywh_to_xyxy
from sam.automatic.mask_generator import AutomaticSettings, generate
from sam.checkpoints import checkpoint_files
from sam.coordinates import Frame
from sam.modeling.features import ImageFeatures
from sam.modeling.model import Sam
from training.data.crop_dataset import add_crops
from training.data.features import FeatureStore, load_image
from training.data.manifest import ImageRecord, ManifestError, MaskRecord, Split, open_dataset
from training.evaluation.baselines import flood_fills, grabcut, load_opencv
from training.evaluation.boundary import boundary_f, tolerance_px
from training.evaluation.metrics import MaskScore, Metrics
from training.evaluation.recall import MAX_FOUND, average_recalls
from training.evaluation.samples import Samples
from training.evaluation.sessions import Session, iou, next_click
from training.loop.optimisation import OnProgress, no_progress

__all__ = ["Measures", "drawn_masks", "evaluate", "iou", "next_click"]

DEFAULT_CLICKS = (1, 3, 5)
REPORT_CLICKS = (1, 2, 3, 5, 9)
"""The paper's section 7.1 (point prompts) counts these."""
MASKS_PER_BATCH = 16
PIXELS_PER_BATCH = 16_000_000  # upscaled logits of a batch of large images must fit in memory
BOUNDARY_CLICKS = (1, 5)

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Measures:
    """What to measure beside the IoU after clicks and boxes; each costs time.

    iou_goals: `clicks_to_<percent>`, how many clicks reach such an IoU, at most max_clicks, and
    `reached_<percent>`, the share of masks that do; an interactive segmentation's usual NoC.
    boundary: `boundary_f_1`, `boundary_f_5`, `boundary_f_box`: how outlines agree.
    baselines: `flood_1` and `grabcut_box`, on the same click and box; needs OpenCV.
    calibration: `predicted_1` and `predicted_box`, the predicted IoU of the mask a user gets; with
    the true ones they tell how far it can be believed (`Metrics.calibration`).
    own_mask: `own_mask`, the IoU of a box's answer with the answer to its logits alone.
    automatic: `ar_100` and `ar_1000` of generating masks with these settings.
    """

    iou_goals: tuple[float, ...] = ()
    max_clicks: int = 9
    boundary: bool = False
    baselines: bool = False
    calibration: bool = False
    own_mask: bool = False
    automatic: AutomaticSettings | None = None


def evaluate(
    checkpoint: Path | Sam,
    manifest_path: Path,
    *,
    split: Split = "holdout",
    clicks: Sequence[int] = DEFAULT_CLICKS,
    measures: Measures | None = None,
    max_masks_per_image: int | None = None,
    max_images: int | None = None,
    crops_per_image: int = 0,
    samples: Samples | None = None,
    on_progress: OnProgress = no_progress,
) -> Metrics:
    """Measure a checkpoint on one split of a manifest, or on a COCO folder.

    Kinds of IoU: `clicks_<k>`, `oracle_1` (best of the three masks after one click), `box` (the
    exact box of the mask), and `fill_box`, the baseline that fills that box. Which mask counts is
    the model's own rule. max_masks_per_image: draw that many of an image's masks, always the same.
    crops_per_image: in so many squares of an image, each encoded alone, small objects are
    prompted as by a person who zooms in on them (`masks.crops`); the true masks say which are
    small. 0: everything in the whole image, as the paper measures.
    samples: draws what was answered on some of the images, evenly spread over them.
    Images that cannot be read are left out and told in `problems`. Raises ManifestError,
    CheckpointError, and BaselineError when a baseline's package is missing.
    """
    measures = measures or Measures()
    if crops_per_image and measures.automatic is not None:
        raise ValueError("automatic generation is measured on whole images, not on crops")
    if measures.baselines:
        load_opencv()
    manifest = open_dataset(Path(manifest_path), split=split)
    images = manifest.require_split(split)[:max_images]
    model = checkpoint if isinstance(checkpoint, Sam) else checkpoint_files.load(checkpoint)
    model.eval()
    store = FeatureStore(model, cache_dir=None)
    scores: list[MaskScore] = []
    problems = list(manifest.problems)
    if crops_per_image:
        drawn = [replace(i, masks=drawn_masks(i, max_masks=max_masks_per_image)) for i in images]
        images = tuple(add_crops(drawn, max_per_image=crops_per_image))
    for index, image in enumerate(images, start=1):
        try:
            features = store.get(image)
        except ManifestError as error:
            problems.append(f"image {image.image_id}: {error}")
            continue
        masks = drawn_masks(image, max_masks=max_masks_per_image)
        is_shown = samples is not None and samples.wants(index - 1, len(images))
        shown = samples if is_shown else None
        evaluation = _ImageEvaluation(
            model, features, image, measures=measures, clicks=clicks, samples=shown
        )
        scores.extend(evaluation.scores(masks))
        if shown is not None:
            shown.write(image)
        on_progress(index / len(images), f"measured {index} of {len(images)} images")
    if not scores:
        raise ManifestError(f"{manifest_path}: no usable image: {problems[-1]}")
    return Metrics(scores=tuple(scores), problems=tuple(problems))


def drawn_masks(image: ImageRecord, *, max_masks: int | None) -> tuple[MaskRecord, ...]:
    """Return at most `max_masks` masks of an image: a fixed random choice, whatever the order."""
    if max_masks is None or len(image.masks) <= max_masks:
        return image.masks

    def rank(mask: MaskRecord) -> str:
        return hashlib.sha256(f"{image.image_path.name}:{mask.mask_id}".encode()).hexdigest()

    return tuple(sorted(image.masks, key=rank)[:max_masks])


class _ImageEvaluation:
    """One encoded image and what to measure on it."""

    def __init__(
        self,
        model: Sam,
        features: ImageFeatures,
        image: ImageRecord,
        *,
        measures: Measures,
        clicks: Sequence[int],
        samples: Samples | None,
    ) -> None:
        self.samples = samples
        if samples is not None:
            samples.begin()
        self.model = model
        self.features = features
        self.image = image
        self.measures = measures
        self.clicks = clicks
        self.frame = Frame(image.image_hw, model.config.image_size_px)
        needs_image = measures.baselines or measures.automatic is not None
        self.pixels = load_image(image) if needs_image else None

    def scores(self, masks: Sequence[MaskRecord]) -> Iterator[MaskScore]:
        """Yield the score of each mask, measured in batches."""
        recalls = self._recalls()
        num_pixels = self.image.image_hw[0] * self.image.image_hw[1]
        batch_size = min(MASKS_PER_BATCH, max(1, PIXELS_PER_BATCH // num_pixels))
        for start in range(0, len(masks), batch_size):
            batch = masks[start : start + batch_size]
            ious, figures = self._measure(batch)
            for index, mask in enumerate(batch):
                yield MaskScore(
                    image_id=self.image.image_id,
                    mask_id=mask.mask_id,
                    source=self.image.source,
                    ious={kind: float(values[index]) for kind, values in ious.items()},
                    figures={name: float(values[index]) for name, values in figures.items()}
                    | recalls.get(mask.mask_id, {}),
                )

    def _measure(
        self, batch: Sequence[MaskRecord]
    ) -> tuple[dict[str, Sequence[float]], dict[str, Sequence[float]]]:
        boxes_xyxy = xywh_to_xyxy(np.array([m.rle.bbox_xywh_px for m in batch], dtype=float))
        truths = [mask.rle.decode() for mask in batch]
        session = Session(self.model, self.features, self.frame, truths=truths)
        goals = self.measures.iou_goals
        max_clicks = max(*self.clicks, self.measures.max_clicks if goals else 1)
        counted = [k for k in BOUNDARY_CLICKS if k <= max_clicks]
        outlines = _Outlines(truths, clicks=counted if self.measures.boundary else None)
        samples = self.samples
        if samples is not None:
            samples.batch(truths, session.first_clicks)

        def on_mask(index: int, num_clicks: int, predicted: Mask) -> None:
            outlines.on_mask(index, num_clicks, predicted)
            if samples is not None:
                samples.record(index, num_clicks, predicted, batch_size=len(truths))

        by_click, oracle, predicted = session.click_ious(max_clicks, on_mask=on_mask)
        ious: dict[str, Sequence[float]] = {
            f"clicks_{k}": by_click[:, k - 1].tolist() for k in self.clicks
        }
        ious["oracle_1"] = oracle
        by_box = session.by_box(boxes_xyxy, on_mask=on_mask)
        ious["box"] = by_box.ious
        ious["fill_box"] = [mask.rle.area_px / _box_area_px(mask) for mask in batch]
        if self.measures.baselines:
            ious |= self._baselines(session, boxes_xyxy)
        figures: dict[str, Sequence[float]] = {}
        if self.measures.calibration:
            figures |= {"predicted_1": predicted, "predicted_box": by_box.predicted_ious}
        if self.measures.own_mask:
            figures["own_mask"] = session.again(by_box)
        for goal in goals:
            needed, reached = clicks_to(goal, by_click[:, : self.measures.max_clicks])
            figures[f"clicks_to_{round(100 * goal)}"] = needed
            figures[f"reached_{round(100 * goal)}"] = reached
        return ious, figures | outlines.figures()

    def _baselines(
        self, session: Session, boxes_xyxy: NDArray[np.float64]
    ) -> dict[str, Sequence[float]]:
        pixels = self.pixels
        assert pixels is not None
        flood, cut = [], []
        for truth, click, box in zip(
            session.truths, session.first_clicks, boxes_xyxy.astype(int), strict=True
        ):
            flood.append(max(iou(truth, fill) for fill in flood_fills(pixels, click)))
            x0, y0, x1, y1 = (int(side) for side in box)
            cut.append(iou(truth, grabcut(pixels, (x0, y0, x1, y1))))
        return {"flood_1": flood, "grabcut_box": cut}

    def _recalls(self) -> dict[str, dict[str, float]]:
        """Return ar_100 and ar_1000 by mask; all masks of the image compete for what is found."""
        settings = self.measures.automatic
        if settings is None:
            return {}
        assert self.pixels is not None
        found = generate(self.model, self.pixels, settings, features=self.features)
        truths = [mask.rle for mask in self.image.masks]
        by_mask: dict[str, dict[str, float]] = {mask.mask_id: {} for mask in self.image.masks}
        for limit in MAX_FOUND:
            shares = average_recalls(truths, found, max_found=limit)
            for mask, share in zip(self.image.masks, shares, strict=True):
                by_mask[mask.mask_id][f"ar_{limit}"] = share
        return by_mask


class _Outlines:
    """Compares outlines at some of the answers, as they come; 1 where nothing was left to do."""

    def __init__(self, truths: Sequence[Mask], *, clicks: Sequence[int] | None) -> None:
        self.truths = truths
        height_px, width_px = truths[0].shape
        self.tolerance_px = tolerance_px((height_px, width_px))
        names = [] if clicks is None else [f"boundary_f_{k}" for k in (*clicks, "box")]
        self.values = {name: [1.0] * len(truths) for name in names}

    def on_mask(self, index: int, num_clicks: int, predicted: Mask) -> None:
        name = f"boundary_f_{num_clicks or 'box'}"
        if name in self.values:
            self.values[name][index] = boundary_f(
                self.truths[index], predicted, tolerance_px=self.tolerance_px
            )

    def figures(self) -> dict[str, Sequence[float]]:
        return dict(self.values)


def _box_area_px(mask: MaskRecord) -> int:
    _, _, width_px, height_px = mask.rle.bbox_xywh_px
    return width_px * height_px


def clicks_to(goal: float, ious_by_click: NDArray[np.float64]) -> tuple[list[float], list[float]]:
    """Return for each mask the clicks to an IoU of `goal` (all of them when it never gets
    there), and 1 or 0, whether it does; ious_by_click: (N, K)."""
    is_there = ious_by_click >= goal
    reached = np.asarray(is_there.any(axis=1))
    first = np.where(reached, is_there.argmax(axis=1) + 1, ious_by_click.shape[1])
    return [float(count) for count in first], [float(flag) for flag in reached]
