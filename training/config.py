"""Every number of training the mask model, with its source.

The starter's own recipe has further numbers of its own, in `training.starter`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Trainable = Literal["decoder", "all"]


@dataclass(frozen=True, slots=True, kw_only=True)
class InteractiveConfig:
    """The simulated annotator and the losses of one mask.

    box_share, num_corrections, mask_only_passes: paper section A (50/50, 8, 2: 11 passes).
    exact_box_share: boxes given without noise; the paper shakes all, but a model that never sees an
    exact box learns to distrust edges, and people's boxes mostly are tight.
    central_share: clicks drawn near the middle of the mask or error instead of uniformly; the
    paper draws all uniformly and measures with central ones.
    focal_weight, dice_weight, iou_weight: paper section A (20 : 1, and 1 for IoU).
    supervise_all_ious: train the predicted IoU of all three ambiguity masks, not of the best
    alone; SAM 2's published code does, and it decides which mask one click returns.
    min_corrections: draw the number of corrections between this and num_corrections, all the
    same when None; short interactions teach the first click more per second.
    """

    box_share: float = 0.5
    exact_box_share: float = 0.0
    central_share: float = 0.0
    num_corrections: int = 8
    min_corrections: int | None = None
    mask_only_passes: int = 2
    focal_weight: float = 20.0
    dice_weight: float = 1.0
    iou_weight: float = 1.0
    supervise_all_ious: bool = True


RETRAIN_INTERACTIVE = InteractiveConfig(
    box_share=0.3, num_corrections=3, min_corrections=0, mask_only_passes=0
)
"""A retraining's annotator: 1 to 4 passes instead of 11, so that ten minutes on two cores show
each mask several times; the first click, where a new domain loses most, is in every one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainConfig:
    """One retraining of the mask model on the masks that people made.

    trainable: "decoder" (prompt encoder and decoder; stored embeddings stay valid) or "all".
    num_steps: None lets the number of images decide.
    images_per_step, masks_per_image: paper: up to 64 masks an image; fewer fit a small machine.
    max_area_share: larger ground-truth masks are left out (paper section A: 90 %).
    learning_rate: a third of the starter's 1e-3; on 24 microscopy images 60 steps of it raised one
    click by 0.085 IoU on other images, where five clicks stayed as they were.
    encoder_learning_rate_share: the encoder knows more than a few labelled images can teach it.
    weight_decay, clip_norm, warmup_steps: AdamW with 0.1 and a linear warm-up of 250 steps in
    the paper; shortened with the run. clip_norm 0.1 is SAM 2's.
    """

    trainable: Trainable = "decoder"
    num_steps: int | None = None
    images_per_step: int = 4
    masks_per_image: int = 8
    max_area_share: float = 0.9
    learning_rate: float = 3e-4
    encoder_learning_rate_share: float = 0.1
    weight_decay: float = 0.1
    warmup_steps: int = 20
    clip_norm: float = 0.1
    checkpoint_every_steps: int = 25
    seed: int = 0
    interactive: InteractiveConfig = RETRAIN_INTERACTIVE
