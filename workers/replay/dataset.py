"""The images of a COCO folder that a replay labels, with their true masks for the oracle."""

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
    """A replay cannot run or was stopped; the message says why in one sentence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetImage:
    """One image to label.

    Attributes:
        truths: All its true masks.
        wanted: Indices into `truths` of the masks that the oracle draws.
    """

    path: Path
    source: str
    truths: tuple[Mask, ...]
    wanted: tuple[int, ...]


def choose_images(
    dataset: Path,
    *,
    num_images: int,
    masks_per_image: int,
    seed: int,
    sources: Sequence[str] = (),
) -> list[DatasetImage]:
    """Draw images that have masks, the same for the same seed.

    Every section of the result has the sources in the dataset's own proportions, so that rounds
    can be compared.

    Args:
        dataset: COCO folder.
        sources: Draw from these alone; empty means all.

    Raises:
        ReplayError: Too few images have masks, or a source does not exist.
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
            f"{dataset} has {len(records)} images with masks{of_these}, {num_images} are requested"
        )
    order = _evenly_mixed([record.source for record in records], seed=seed)[:num_images]
    return [_dataset_image(records[index], masks_per_image=masks_per_image) for index in order]


def _evenly_mixed(sources: Sequence[str], *, seed: int) -> list[int]:
    """Return indices in a random order; every section mixes the sources as the whole does."""
    totals, num_placed = Counter(sources), Counter[str]()
    places: list[tuple[float, int]] = []
    for index in map(int, np.random.default_rng(seed).permutation(len(sources))):
        source = sources[index]
        places.append(((num_placed[source] + 0.5) / totals[source], index))
        num_placed[source] += 1
    return [index for _, index in sorted(places)]


def _dataset_image(record: ImageRecord, *, masks_per_image: int) -> DatasetImage:
    wanted = {mask.mask_id for mask in drawn_masks(record, max_masks=masks_per_image)}
    return DatasetImage(
        path=record.image_path,
        source=record.source,
        truths=tuple(mask.rle.decode() for mask in record.masks),
        wanted=tuple(i for i, mask in enumerate(record.masks) if mask.mask_id in wanted),
    )
