"""What a run learns from: images whose pixels can be read, with the masks that teach something.

And which of them a step visits: sources evenly, and new data mixed with an older set.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

import torch
from torch import Tensor

from masks.rle import Rle
from sam.coordinates import Frame
from training.data.manifest import ImageRecord, ManifestError
from training.data.sampling import draw_images, image_weights
from training.data.targets import model_masks
from training.loop.config import TrainConfig
from training.loop.optimisation import TrainStopped
from training.loop.processes import Processes
from training.loop.run_folder import TrainError


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One image and the masks to learn from it."""

    image: ImageRecord
    rles: tuple[Rle, ...]


class HasImage(Protocol):
    """Anything to learn from that belongs to an image."""

    @property
    def image(self) -> ImageRecord: ...


Kept = TypeVar("Kept", bound=HasImage)


def readable_examples(
    examples: Sequence[Kept],
    *,
    read: Callable[[ImageRecord], object],
    processes: Processes,
    on_image: Callable[[int], object],
    should_stop: Callable[[], bool],
) -> tuple[list[Kept], list[str]]:
    """Read every image once; return the examples that can be read and a sentence per other one.

    Among several processes each reads its share. Raises TrainStopped, and ManifestError when no
    image is left.
    """
    failures: dict[int, str] = {}
    is_stopped = False
    for count, (place, example) in enumerate(processes.share_of(examples), start=1):
        if should_stop():
            is_stopped = True
            break
        try:
            read(example.image)
        except ManifestError as error:
            failures[place] = f"image {example.image.image_id}: {error}"
        on_image(min(len(examples), count * processes.world))
    if processes.any_of(is_stopped):
        raise TrainStopped("stopped while encoding images; what is encoded is kept")
    failures = processes.union_of(failures)
    kept = [example for place, example in enumerate(examples) if place not in failures]
    if not kept:
        raise ManifestError(f"no usable image: {next(iter(failures.values()))}")
    return kept, list(failures.values())


def usable_examples(
    images: Sequence[ImageRecord], *, size_px: int, config: TrainConfig
) -> list[Example]:
    """Return the images with masks that are neither nearly everything nor lost in the model.

    Raises TrainError when nothing is left.
    """
    examples = []
    for image in images:
        height_px, width_px = image.image_hw
        limit_px = config.max_area_share * height_px * width_px
        frame = Frame(image.image_hw, size_px)
        rles = tuple(
            mask.rle
            for mask in image.masks
            if mask.rle.area_px <= limit_px and bool(model_masks([mask.rle], frame=frame).any())
        )
        if rles:
            examples.append(Example(image=image, rles=rles))
    if not examples:
        raise TrainError("no mask to learn from: each covers nearly its whole image, or no pixel")
    return examples


class Pool:
    """Examples of one set, drawn by the square root of their source's size."""

    def __init__(self, examples: Sequence[Example]) -> None:
        self.examples = examples
        self.weights: Tensor = image_weights([example.image.source for example in examples])

    def draw(self, num: int, *, generator: torch.Generator) -> list[Example]:
        """Draw up to `num` different examples."""
        if num == 0:
            return []
        indices = draw_images(self.weights, num=num, generator=generator)
        return [self.examples[index] for index in indices]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mixture:
    """New data and, at a fixed share of every step, an older set."""

    new: Pool
    old: Pool | None = None
    old_share: float = 0.0

    def draw(self, *, step: int, num: int, generator: torch.Generator) -> list[Example]:
        """Draw a step's examples; shares that do not divide `num` even out over the steps."""
        num_old = 0
        if self.old is not None:
            before, after = (math.floor(s * num * self.old_share + 1e-9) for s in (step, step + 1))
            num_old = after - before
        drawn = self.new.draw(num - num_old, generator=generator)
        return drawn + (self.old.draw(num_old, generator=generator) if self.old else [])
