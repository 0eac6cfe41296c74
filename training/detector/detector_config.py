"""Every number of a detector training run, with its source."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectorTrainConfig:
    """How to train the object detector; the encoder under it stays frozen.

    num_steps: None chooses by the number of images (`steps_for`).
    learning_rate: 1e-3 from scratch, FINE_TUNE_SHARE of it when a start detector is given.
    unknown_weight: weight of "nothing here" away from labelled objects. People label a part of
    an image, so an unlabelled region is weak evidence (0 never learns what is no object).
    notes_object_size: keep how large objects typically are, for images of one kind; False where
    the size of objects in one image says nothing of another.
    max_area_share: boxes over this share of the image are no objects (paper, section A: 90 %).
    """

    seed: int = 0
    num_steps: int | None = None
    images_per_step: int = 8
    learning_rate: float = 1e-3
    weight_decay: float = 0.05
    warmup_steps: int = 30
    clip_norm: float = 5.0
    checkpoint_every_steps: int = 50
    unknown_weight: float = 0.3
    max_area_share: float = 0.9
    notes_object_size: bool = True
    width: int = 64
    tower_layers: int = 2


FINE_TUNE_SHARE = 0.3
PASSES_OVER_IMAGES = 60
MIN_STEPS = 240
MAX_STEPS = 1000
"""On stored features a step of 8 images at 512 px is some 40 GFLOP: below a second on two cores, so
the longest run ends within ten minutes or so."""


def steps_for(num_images: int, *, config: DetectorTrainConfig) -> int:
    """Return the number of steps of a run: fixed by the config, else a few passes, bounded."""
    if config.num_steps is not None:
        return config.num_steps
    wanted = num_images * PASSES_OVER_IMAGES // config.images_per_step
    return min(MAX_STEPS, max(MIN_STEPS, wanted))
