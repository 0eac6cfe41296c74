"""How good the masks of "segment everything" are: found objects, false masks, doubles, time.

Matched as recall is (`training.recall`). Data sets seldom label every object, so precision is a
lower bound. Blank images, which hold nothing, are asked too.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from masks.overlap import pairwise_iou
from masks.rle import Rle
from sam.automatic.mask_generator import AutomaticMask, AutomaticSettings, generate
from sam.modeling.model import Sam
from training.data.features import load_image
from training.data.manifest import ImageRecord, Manifest, ManifestError
from training.evaluation.recall import matched
from training.loop.optimisation import OnProgress, no_progress

LOOSE_IOU, TIGHT_IOU = 0.5, 0.75
DOUBLE_IOU = 0.5
"""Two masks of one image are doubles above it."""
BLANK_HW = (480, 640)
NOISE_LEVELS = (4, 16, 48)
NAME_WIDTH = 22


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageResult:
    """What was found on one image. cpu_s: processor seconds, encoding included."""

    source: str
    num_truths: int
    num_masks: int
    num_found_50: int
    num_found_75: int
    num_doubles: int
    cpu_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFigures:
    """The figures of one source's images, or the mean of several sources' figures."""

    num_images: float
    masks_per_image: float
    recall_50: float
    recall_75: float
    precision_50: float
    doubles_per_mask: float
    cpu_s_per_image: float


@dataclass(frozen=True, slots=True, kw_only=True)
class AutomaticQuality:
    """A measurement: results by image, masks on each blank image, what could not be read."""

    results: tuple[ImageResult, ...]
    blank_masks: dict[str, int]
    problems: tuple[str, ...]

    def by_source(self) -> dict[str, SourceFigures]:
        """Return the figures of each source, in order of name."""
        sources = sorted({one.source for one in self.results})
        return {
            name: _figures([one for one in self.results if one.source == name]) for name in sources
        }

    def macro(self) -> SourceFigures:
        """Return the mean over sources."""
        parts = [asdict(part) for part in self.by_source().values()]
        means = {name: float(np.mean([part[name] for part in parts])) for name in parts[0]}
        return SourceFigures(**{**means, "num_images": float(len(self.results))})

    def to_json(self) -> dict[str, Any]:
        """Return everything as plain values."""
        return {
            "macro": asdict(self.macro()),
            "sources": {name: asdict(part) for name, part in self.by_source().items()},
            "blank_masks": self.blank_masks,
            "images": [asdict(one) for one in self.results],
            "problems": list(self.problems),
        }


def result_of(
    truths: Sequence[Rle], found: Sequence[AutomaticMask], *, source: str, cpu_s: float
) -> ImageResult:
    """Compare what was found on an image with its true masks."""
    rles = [mask.rle for mask in sorted(found, key=lambda mask: -mask.predicted_iou)]
    ious = pairwise_iou(rles, truths)
    between = np.triu(pairwise_iou(rles, rles), k=1)
    return ImageResult(
        source=source,
        num_truths=len(truths),
        num_masks=len(found),
        num_found_50=int(matched(ious, threshold=LOOSE_IOU).sum()),
        num_found_75=int(matched(ious, threshold=TIGHT_IOU).sum()),
        num_doubles=int((between > DOUBLE_IOU).sum()),
        cpu_s=cpu_s,
    )


def measure_automatic(
    model: Sam,
    images: Sequence[ImageRecord],
    settings: AutomaticSettings,
    *,
    with_blank: bool = True,
    on_progress: OnProgress = no_progress,
) -> AutomaticQuality:
    """Segment everything in the images and in blank ones, and compare with the true masks.

    Raises ManifestError when no image can be read.
    """
    results: list[ImageResult] = []
    problems: list[str] = []
    blank = blank_images() if with_blank else {}
    total = len(images) + len(blank)
    for done, image in enumerate(images, start=1):
        try:
            image_rgb = load_image(image)
        except ManifestError as error:
            problems.append(f"image {image.image_id}: {error}")
            continue
        began_s = time.process_time()
        found = generate(model, image_rgb, settings)
        cpu_s = time.process_time() - began_s
        truths = [mask.rle for mask in image.masks]
        results.append(result_of(truths, found, source=image.source, cpu_s=cpu_s))
        on_progress(done / total, f"measured {done} of {len(images)} images")
    if not results:
        raise ManifestError(f"no image can be read: {problems[-1] if problems else 'none given'}")
    masks = {}
    for done, (name, pixels) in enumerate(blank.items(), start=len(images) + 1):
        masks[name] = len(generate(model, pixels, settings))
        on_progress(done / total, f"blank image: {name}")
    return AutomaticQuality(results=tuple(results), blank_masks=masks, problems=tuple(problems))


def blank_images() -> dict[str, NDArray[np.uint8]]:
    """Return images without objects by name: plain ones, a ramp, and noise, always the same."""
    height, width = BLANK_HW
    rng = np.random.default_rng(0)
    images: dict[str, NDArray[np.uint8]] = {}
    for name, level in (("black", 0), ("white", 255), ("grey", 128)):
        images[name] = np.full((height, width, 3), level, dtype=np.uint8)
    ramp = np.linspace(60, 200, width).astype(np.uint8)[None, :, None]
    images["ramp"] = np.ascontiguousarray(np.broadcast_to(ramp, (height, width, 3)))
    for level in NOISE_LEVELS:
        noise = rng.normal(128, level, (height, width, 3))
        images[f"noise {level}"] = np.clip(noise, 0, 255).astype(np.uint8)
    return images


def chosen_images(
    manifests: Sequence[Manifest], *, sources: Sequence[str] = (), max_images: int | None = None
) -> list[ImageRecord]:
    """Return the images of some sources (all when none is named), evenly at most max_images each.

    Raises ManifestError for a source that is not there.
    """
    images = [image for manifest in manifests for image in manifest.images]
    known = sorted({image.source for image in images})
    if missing := sorted(set(sources) - set(known)):
        raise ManifestError(f"there is no source {missing[0]}; there are: {', '.join(known)}")
    chosen: list[ImageRecord] = []
    for source in sources or known:
        own = [image for image in images if image.source == source]
        num = len(own) if max_images is None else min(len(own), max_images)
        chosen += [own[i * len(own) // num] for i in range(num)]
    return chosen


def quality_table(quality: AutomaticQuality) -> str:
    """Return the figures by source, their mean, and the masks on blank images, for people."""
    heads = ("masks", "R@0.5", "R@0.75", "P@0.5 >=", "doubles", "cpu s")
    lines = [f"{'automatic masks':{NAME_WIDTH}} {'images':>6} {' '.join(f'{h:>9}' for h in heads)}"]
    for name, part in {**quality.by_source(), "mean over sources": quality.macro()}.items():
        values = (
            f"{part.masks_per_image:9.1f}",
            f"{part.recall_50:9.3f}",
            f"{part.recall_75:9.3f}",
            f"{part.precision_50:9.3f}",
            f"{part.doubles_per_mask:9.2f}",
            f"{part.cpu_s_per_image:9.1f}",
        )
        lines.append(f"{name[:NAME_WIDTH]:{NAME_WIDTH}} {part.num_images:6.0f} {' '.join(values)}")
    lines.append("Precision is a lower bound where not every object is labelled.")
    if quality.blank_masks:
        counts = ", ".join(f"{name} {num}" for name, num in quality.blank_masks.items())
        lines.append(f"masks on blank images: {counts}")
    return "\n".join(lines)


def load_settings(base: AutomaticSettings, texts: Sequence[str]) -> dict[str, Any]:
    """Read NAME=VALUE pairs; the values are those of JSON. Raises ManifestError."""
    known = asdict(base)
    changes: dict[str, Any] = {}
    for text in texts:
        name, _, value = text.partition("=")
        if name not in known or not value:
            raise ManifestError(f"{text!r} is not NAME=VALUE; names: {', '.join(known)}")
        changes[name] = _parsed(value, text)
    return changes


def _parsed(value: str, text: str) -> Any:
    try:
        return json.loads({"none": "null", "None": "null"}.get(value, value.lower()))
    except ValueError:
        raise ManifestError(f"{text!r}: {value!r} is no number, true, false or none") from None


def _figures(results: Sequence[ImageResult]) -> SourceFigures:
    num_masks = sum(one.num_masks for one in results)
    num_truths = sum(one.num_truths for one in results)
    found_50 = sum(one.num_found_50 for one in results)
    found_75 = sum(one.num_found_75 for one in results)
    return SourceFigures(
        num_images=len(results),
        masks_per_image=num_masks / len(results),
        recall_50=found_50 / max(num_truths, 1),
        recall_75=found_75 / max(num_truths, 1),
        precision_50=found_50 / max(num_masks, 1),
        doubles_per_mask=sum(one.num_doubles for one in results) / max(num_masks, 1),
        cpu_s_per_image=sum(one.cpu_s for one in results) / len(results),
    )
