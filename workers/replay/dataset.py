"""The slice of a COCO folder that a replay labels, with the true masks the oracle knows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from training.data.manifest import ImageRecord, from_coco
from training.evaluation.evaluate import drawn_masks
from workers.replay.oracle import Mask


class ReplayError(Exception):
    """Say in one sentence why a replay cannot run or stopped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Photo:
    """One photo to label: all its true masks, and those the oracle will draw."""

    path: Path
    source: str
    truths: tuple[Mask, ...]
    wanted: tuple[int, ...]
    """Indices into truths."""


def choose_photos(
    dataset: Path,
    *,
    num_images: int,
    masks_per_image: int,
    seed: int,
    sources: Sequence[str] = (),
) -> list[Photo]:
    """Draw photos that have masks, the same for the same seed. ReplayError when too few have.

    sources: draw from these alone; none means all. Every stretch of the photos has sources in the
    dataset's own proportions, so that rounds compare.
    """
    records = [record for record in from_coco(dataset).images if record.masks]
    if sources:
        known = sorted({record.source for record in records})
        if unknown := sorted(set(sources) - set(known)):
            raise ReplayError(
                f"{dataset} has no source {', '.join(unknown)}; it has {', '.join(known)}"
            )
        records = [record for record in records if record.source in sources]
    if len(records) < num_images:
        of_these = f" of {', '.join(sources)}" if sources else ""
        raise ReplayError(
            f"{dataset} has {len(records)} photos with masks{of_these}, {num_images} are asked"
        )
    order = _evenly_mixed([record.source for record in records], seed=seed)[:num_images]
    return [_photo(records[index], masks_per_image=masks_per_image) for index in order]


def _evenly_mixed(sources: Sequence[str], *, seed: int) -> list[int]:
    """Return places in a random order whose every stretch mixes the sources as the whole does."""
    totals, seen = Counter(sources), Counter[str]()
    places: list[tuple[float, int]] = []
    for index in map(int, np.random.default_rng(seed).permutation(len(sources))):
        source = sources[index]
        places.append(((seen[source] + 0.5) / totals[source], index))
        seen[source] += 1
    return [index for _, index in sorted(places)]


def _photo(record: ImageRecord, *, masks_per_image: int) -> Photo:
    wanted = {mask.mask_id for mask in drawn_masks(record, max_masks=masks_per_image)}
    return Photo(
        path=record.image_path,
        source=record.source,
        truths=tuple(mask.rle.decode() for mask in record.masks),
        wanted=tuple(i for i, mask in enumerate(record.masks) if mask.mask_id in wanted),
    )
