"""Every number of training the mask model, with its source.

[P] is the paper (section A unless named), [S2] SAM 2's published code; what the paper leaves open
is an option whose default is stated. The starter's own recipe has further numbers of its own, in
`training.starter`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

Trainable = Literal["decoder", "all", "lora"]
Schedule = Literal["cosine", "step", "constant"]


def _require_share(name: str, value: float) -> None:
    if not 0 <= value <= 1:
        raise ValueError(f"{name} lies between 0 and 1")


def _require_positive(name: str, value: float) -> None:
    if not (value > 0 and math.isfinite(value)):
        raise ValueError(f"{name} is a positive number")


@dataclass(frozen=True, slots=True, kw_only=True)
class InteractiveConfig:
    """The simulated annotator and the losses of one mask.

    box_share, num_corrections, mask_only_passes: [P] 50/50, 8 and 2: 11 passes.
    exact_box_share: boxes given without noise; [P] shakes all, but a model that never sees an exact
    box learns to distrust edges, and people's boxes mostly are tight.
    mask_alone_share: passes without a new click that withhold all earlier clicks and boxes too:
    a user may begin with an existing mask. [P] keeps the earlier prompts.
    central_share: clicks drawn near the middle of the mask or error instead of uniformly; [P]
    draws all uniformly and measures with central ones.
    box_noise: [P] gives a standard deviation and a cap but no distribution; "normal" takes them
    at their word, "uniform" in +/- the cap is [S2].
    box_noise_share, max_box_noise_px: [P] 10 % of the box side, at most 20 px; the frame is left
    open, ours is the model's square.
    focal_weight, dice_weight, iou_weight: [P] 20 : 1, and 1 for IoU.
    focal_alpha, focal_gamma: left open by [P]; [S2].
    loss_frame: left open by [P]; "low_res" compares at stride 4, where masks are decoded, "model"
    upscales the logits first, as [S2] does (16 times the pixels).
    supervise_all_ious: train the predicted IoU of all three ambiguity masks, not of the best
    alone; [S2] does, [P] seems to train the best alone; it decides which mask one click returns.
    rank_weight: of the order of the three ambiguity masks (`losses.order_loss`), beside the error
    of predicted IoU; [P] has none.
    gradient_through_logits: let later passes teach earlier ones through the logits fed back; left
    open by [P], off in [S2].
    box_is_clear: train the single mask, not the three, where the first prompt is a box, as boxes
    are answered (`sam.selection`); [P] treats it as ambiguous.
    min_corrections: draw the number of corrections between this and num_corrections, all the
    same when None; short interactions teach the first click more per second.
    """

    box_share: float = 0.5
    exact_box_share: float = 0.0
    box_is_clear: bool = True
    central_share: float = 0.0
    num_corrections: int = 8
    min_corrections: int | None = None
    mask_only_passes: int = 2
    mask_alone_share: float = 0.0
    box_noise: Literal["normal", "uniform"] = "normal"
    box_noise_share: float = 0.1
    max_box_noise_px: float = 20.0
    focal_weight: float = 20.0
    dice_weight: float = 1.0
    iou_weight: float = 1.0
    focal_alpha: float = 0.25
    focal_gamma: float = 2.0
    loss_frame: Literal["low_res", "model"] = "low_res"
    supervise_all_ious: bool = True
    rank_weight: float = 0.0
    gradient_through_logits: bool = False

    def __post_init__(self) -> None:
        _require_share("box_share", self.box_share)
        _require_share("central_share", self.central_share)
        if self.num_corrections < 0 or self.mask_only_passes not in (0, 1, 2):
            raise ValueError("num_corrections is at least 0 and mask_only_passes at most 2")


RETRAIN_INTERACTIVE = InteractiveConfig(
    box_share=0.3,
    exact_box_share=0.5,
    central_share=0.5,
    num_corrections=3,
    min_corrections=0,
    mask_only_passes=0,
)
"""A retraining's annotator: 1 to 4 passes instead of 11, so that ten minutes on two cores show
each mask several times; the first click, where a new domain loses most, is in every one. Half of
the clicks are central and half of the boxes tight, as people and detectors give them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainConfig:
    """One training of the mask model; the defaults are a quick retraining on people's masks.

    trainable: "decoder" (prompt encoder and decoder; stored embeddings stay valid), "all", or
    "lora" (the decoder, and low-rank adapters in the encoder that are merged when it is saved).
    num_steps: None lets the number of masks decide.
    images_per_step: of all processes together. masks_per_image: [P] up to 64; fewer fit a small
    machine.
    max_area_share: larger ground-truth masks are left out ([P]: 90 %).
    crops_per_image: small objects are learned in so many squares of their image, as people
    label them (`masks.crops`); the rest of them in the whole image. 0 in [P].
    mix_share: share of a step's images that come from the older set, when one is given. One to
    one, as SAM 3's data engine mixes: new data alone was worse (its section D).
    learning_rate: a third of the starter's 1e-3. With 6e-4 a thousand exact masks of 30 microscopy
    images raised one click on others by 0.067 IoU instead of 0.056, but the 96 masks of a replay's
    first round by 0.003 instead of 0.061: people's first masks are few, and near misses.
    encoder_learning_rate_share: the encoder knows more than a few labelled images can teach it.
    start_share: the saved weights are this share of the start and the rest of what was trained
    (Wortsman et al. 2022, "Robust fine-tuning of zero-shot models", weight space): with all of
    the starter trained on 30 microscopy images, one click on others rose by 0.046 and on images
    fell by 0.032; at 0.4 of the start, by 0.076 and 0.008. [P] and [S2] keep none.
    weight_decay, betas, warmup_steps: [P] AdamW with 0.1, (0.9, 0.999), linear over 250 steps;
    shortened with the run.
    schedule: after the warm-up, half a cosine down to 5 % ("cosine"), or times `decay_factor` at
    each of `milestones` ("step", [P]), or "constant".
    layer_decay: the learning rate of each encoder layer is this share of the next one's
    ([P]: 0.8, ViT-B 0.6); 1 treats all alike.
    drop_path: share of the encoder's last residual branches that are skipped at random, rising
    linearly from 0 at the first ([P]: 0.4, ViT-B 0.6).
    jitter_scale: large-scale jitter: resize by a random factor from this range, then crop or pad
    ([P]: 0.1 to 2.0 on stage 1 and 2 data, none on SA-1B). The encoder must be trained along.
    lora_rank, lora_scale: adapters add scale * B A; left open by [P], which has none.
    clip_norm: largest gradient norm; not in [P] (None), 0.1 in [S2].
    """

    trainable: Trainable = "decoder"
    num_steps: int | None = None
    images_per_step: int = 4
    masks_per_image: int = 8
    max_area_share: float = 0.9
    crops_per_image: int = 4
    mix_share: float = 0.5
    learning_rate: float = 3e-4
    encoder_learning_rate_share: float = 0.5
    start_share: float = 0.4
    weight_decay: float = 0.1
    betas: tuple[float, float] = (0.9, 0.999)
    warmup_steps: int = 20
    schedule: Schedule = "cosine"
    milestones: tuple[int, ...] = ()
    decay_factor: float = 0.1
    layer_decay: float = 1.0
    drop_path: float = 0.0
    jitter_scale: tuple[float, float] | None = None
    lora_rank: int = 8
    lora_scale: float = 1.0
    clip_norm: float | None = 0.1
    checkpoint_every_steps: int = 25
    seed: int = 0
    interactive: InteractiveConfig = RETRAIN_INTERACTIVE

    def __post_init__(self) -> None:
        for name in ("images_per_step", "masks_per_image", "checkpoint_every_steps", "lora_rank"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is at least 1")
        if self.crops_per_image < 0:
            raise ValueError("crops_per_image is at least 0")
        if self.num_steps is not None and self.num_steps < 1:
            raise ValueError("num_steps is at least 1")
        for name in ("max_area_share", "mix_share", "drop_path", "start_share"):
            _require_share(name, getattr(self, name))
        if not 0 < self.layer_decay <= 1 or not 0 < self.decay_factor <= 1:
            raise ValueError("layer_decay and decay_factor lie above 0 and at most at 1")
        if self.drop_path == 1:
            raise ValueError("drop_path lies below 1: nothing would be left")
        _require_positive("learning_rate", self.learning_rate)
        if tuple(sorted(set(self.milestones))) != tuple(self.milestones):
            raise ValueError("milestones are steps in rising order")
        if self.jitter_scale is not None:
            self._check_jitter(self.jitter_scale)

    def _check_jitter(self, scale: tuple[float, float]) -> None:
        if not 0 < scale[0] <= scale[1]:
            raise ValueError("jitter_scale is a rising pair of positive factors")
        if self.trainable == "decoder":
            raise ValueError("jitter changes what the encoder sees: train all of it, or lora")


PAPER_INTERACTIVE = InteractiveConfig(supervise_all_ious=False, box_is_clear=False)
"""[P]: 11 passes, uniform clicks, half boxes, losses 20 : 1 : 1, one IoU supervised."""

LARGE_SCALE_JITTER = (0.1, 2.0)
"""[P] for data of the first two stages."""

PAPER_VIT_H = TrainConfig(
    trainable="all",
    num_steps=90_000,
    images_per_step=256,
    masks_per_image=64,
    crops_per_image=0,
    learning_rate=8e-4,
    encoder_learning_rate_share=1.0,
    start_share=0.0,
    warmup_steps=250,
    schedule="step",
    milestones=(60_000, 86_666),
    layer_decay=0.8,
    drop_path=0.4,
    clip_norm=None,
    checkpoint_every_steps=500,
    interactive=PAPER_INTERACTIVE,
)
"""[P], on SA-1B: 256 GPUs with an image each, 68 hours."""

PAPER_VIT_L = replace(
    PAPER_VIT_H,
    num_steps=180_000,
    images_per_step=128,
    learning_rate=4e-4,
    milestones=(120_000, 173_332),
)
"""[P]; it does not give the milestones of its 180k runs: these lie at the same shares of the run
as ViT-H's."""

PAPER_VIT_B = replace(PAPER_VIT_L, learning_rate=8e-4, layer_decay=0.6, drop_path=0.6)
"""[P]; milestones as for ViT-L."""

TRAIN_PRESETS: dict[str, TrainConfig] = {
    "retrain": TrainConfig(),
    "paper-vit-h": PAPER_VIT_H,
    "paper-vit-l": PAPER_VIT_L,
    "paper-vit-b": PAPER_VIT_B,
}
"""By name, for the command line. `retrain` is what the platform runs."""
