"""A candidate against another model on the same masks: what a promotion is decided by.

Differences with their bootstrap intervals, by clicks and by slices of objects, and a probe of
what figures of quality do not show: numbers that are none, masks that are empty or elsewhere,
answers that come late.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import partial
from itertools import islice
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from masks.regions import deepest_point
from sam.coordinates import Frame
from sam.devices import synchronize
from sam.modeling.model import Sam
from sam.prompting.selection import best_of_three
from sam.prompts import Prompts
from training.data.features import load_rgb
from training.data.manifest import ImageRecord, ManifestError
from training.evaluation.evaluate import drawn_masks
from training.evaluation.metrics import Difference, Metrics, paired_difference

KINDS = ("clicks_1", "clicks_3", "clicks_5")
ALL = "all"
"""The mean of KINDS, mask by mask."""
CEILING_IOU = 0.9
"""Better agreement counts no further: people drew the held-out masks with the serving model's help
and stop where a mask is good enough, so what is left is mostly that model's own edges. In a replay
a candidate that beat it by 0.07 at one click on untouched masks lost by 0.002 without this."""
SIZE_SLICES_PX = {"small objects": (0, 32**2), "medium objects": (32**2, 96**2)}
"""Areas in pixels as COCO divides them; what is larger is "large objects"."""
LARGE = "large objects"
PROBED_IMAGES = 4
PROBED_MASKS_PER_IMAGE = 8
TIMED_RUNS = 7

Image = NDArray[np.uint8]


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Candidate minus the other: by kind (and ALL), and ALL by slice."""

    differences: Mapping[str, Difference]
    slices: Mapping[str, Difference]

    def to_json(self) -> dict[str, Any]:
        return {
            "differences": {name: asdict(one) for name, one in self.differences.items()},
            "slices": {name: asdict(one) for name, one in self.slices.items()},
        }


def compare(before: Metrics, after: Metrics, *, images: Sequence[ImageRecord]) -> Comparison:
    """Compare two evaluations of the same images, each IoU counted up to CEILING_IOU.

    ValueError when no mask is in both.
    """
    paired = partial(paired_difference, before, after, ceiling_iou=CEILING_IOU)
    differences = {kind: paired(kinds=(kind,)) for kind in KINDS}
    differences[ALL] = paired(kinds=KINDS)
    measured = {score.mask_id for score in before.scores} & {s.mask_id for s in after.scores}
    slices = {
        name: paired(kinds=KINDS, mask_ids=mask_ids)
        for name, mask_ids in _slices(images).items()
        if mask_ids & measured
    }
    return Comparison(differences=differences, slices=slices)


def _slices(images: Sequence[ImageRecord]) -> dict[str, set[str]]:
    """Return mask ids by the size of the object, and by source where there are several."""
    slices: dict[str, set[str]] = {}
    sources = {image.source for image in images}
    for image in images:
        for mask in image.masks:
            slices.setdefault(_size_slice(mask.rle.area_px), set()).add(mask.mask_id)
            if len(sources) > 1:
                slices.setdefault(f"source {image.source}", set()).add(mask.mask_id)
    return slices


def _size_slice(area_px: int) -> str:
    for name, (low_px, high_px) in SIZE_SLICES_PX.items():
        if low_px <= area_px < high_px:
            return name
    return LARGE


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """What a model does on a few images, first clicks only.

    empty_share: of the answers, those without a pixel. hit_share: those that contain the click.
    encode_ms, decode_ms: the least of some runs, one image and one click, on this machine; on a
    CPU in processor time of all threads, so that neighbours on the machine do not count.
    """

    is_finite: bool
    num_masks: int
    empty_share: float
    hit_share: float
    encode_ms: float
    decode_ms: float

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@torch.no_grad()
def probe(model: Sam, images: Sequence[ImageRecord]) -> Probe:
    """Click objects of a few images at their deepest points and look at the answers.

    Images that cannot be read are passed over; ManifestError when none can.
    """
    model.eval()
    is_finite = True
    num_masks = num_empty = num_hits = 0
    readable = list(islice(_readable(images), PROBED_IMAGES))
    if not readable:
        raise ManifestError("no held-out image can be read")
    for image, image_rgb in readable:
        frame = Frame(image.image_hw, model.config.image_size_px)
        features = model.encode(model.preprocess(image_rgb))
        clicks = [
            deepest_point(mask.rle.decode())
            for mask in drawn_masks(image, max_masks=PROBED_MASKS_PER_IMAGE)
        ]
        points = torch.as_tensor(frame.to_model(clicks), dtype=torch.float32, device=model.device)
        labels = torch.ones(len(clicks), 1, dtype=torch.int64, device=model.device)
        decoded = model.decode(features, Prompts.make(points[:, None], labels))
        is_finite &= bool(decoded.low_res_logits.isfinite().all())
        is_finite &= bool(decoded.predicted_iou.isfinite().all())
        chosen = best_of_three(decoded).low_res_logits
        answers = frame.to_image_logits(chosen[:, None])[:, 0] > 0
        num_masks += len(clicks)
        num_empty += int((~answers.flatten(1).any(1)).sum())
        num_hits += sum(bool(mask[y, x]) for mask, (x, y) in zip(answers, clicks, strict=True))
    encode_ms, decode_ms = _latency_ms(model, readable[0][1])
    return Probe(
        is_finite=is_finite,
        num_masks=num_masks,
        empty_share=num_empty / num_masks,
        hit_share=num_hits / num_masks,
        encode_ms=encode_ms,
        decode_ms=decode_ms,
    )


def _readable(images: Sequence[ImageRecord]) -> Iterator[tuple[ImageRecord, Image]]:
    for image in images:
        with suppress(ManifestError):
            yield image, load_rgb(image.image_path)


def _latency_ms(model: Sam, image_rgb: Image) -> tuple[float, float]:
    pixels = model.preprocess(image_rgb)
    features = model.encode(pixels)  # the first one is not timed
    middle = torch.full((1, 1, 2), model.config.image_size_px / 2, device=model.device)
    prompts = Prompts.make(middle, torch.ones(1, 1, dtype=torch.int64, device=model.device))
    encode, decode = [], []
    for _ in range(TIMED_RUNS):
        began = _now_s(model)
        model.encode(pixels)
        between = _now_s(model)
        model.decode(features, prompts)
        encode.append(between - began)
        decode.append(_now_s(model) - between)
    return 1000 * min(encode), 1000 * min(decode)


def _now_s(model: Sam) -> float:
    if model.device.type == "cpu":
        return time.process_time()
    synchronize(model.device)
    return time.perf_counter()
