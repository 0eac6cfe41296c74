"""Trains the starter: dense pretraining of the encoder, then the whole model, click by click.

On a CPU: one single-threaded process per core, each with its own views; gradients are averaged once
a step. Under contention that wastes far less than threads that meet at every operation. On a GPU:
one process, with others that draw views for it.
"""

from __future__ import annotations

import copy
import enum
import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn

from sam.checkpoints import checkpoint_files
from sam.modeling.model import Sam
from sam.modeling.presets import PRESETS
from training.loop.config import InteractiveConfig
from training.loop.precision import step_autocast
from training.losses.interactive import interactive_loss
from training.starter.batches import Batches, ViewBatch, batches, first_masks
from training.starter.blank import blank_loss
from training.starter.data import Pool, ViewSettings
from training.starter.dense import dense_loss
from training.starter.start import started

STATE_NAME = "state.pt"
EXPORT_NAME = "starter.safetensors"
JUDGES = ("mask_decoder.iou_token.", "mask_decoder.iou_prediction_head.", "mask_decoder.iou_from_")
"""Names of what predicts IoU."""
TRUNK = "image_encoder.trunk."


class Phase(enum.Enum):
    """What learns: the encoder alone, everything, or the predicted IoU alone."""

    DENSE = "dense"
    WHOLE = "whole"
    JUDGE = "judge"


@dataclass(frozen=True, kw_only=True)
class StarterConfig:
    """The recipe's numbers; all were chosen by trying on two CPU cores.

    hours: processor time of each process over the whole run, on a GPU the time that passes;
    learning rates follow this clock, not a step count, so neither a paused nor a crowded machine
    eats the schedule.
    dense_share: first part of the run, without the decoder.
    refine_share: part of the run before the last, with up to `late_corrections` corrections.
    calibration_share: last part of the run: only the predicted IoU learns, from many fixed masks;
    trained along with the masks it hardly tells them apart.
    decoder_share, decoder_masks: images of a step that go through the decoder, and their masks;
    the encoder is what needs most pictures, and a decoder pass costs as much as half of one.
    exact_box_share: boxes without noise, in the decoder's passes and the dense loss.
    start: a checkpoint whose weights a new run begins with; it needs no dense part.
    trunk: published EfficientNet-Lite weights that the trunk of a new run begins with.
    trunk_learning_rate_share: of the trunk, which knows more than these few images can teach it;
    0 holds it still, and a step then costs half. Late and at a low rate it gains.
    trunk_frozen_blocks: its first blocks, which hold still: edges and textures are the same
    everywhere, and at strides 2 to 8 they are most of a backward pass.
    rank_weight, mask_alone_share: see `InteractiveConfig`.
    blank_share: steps that see blank images too.
    trains_encoder: False leaves the start's encoder as it is, and with it what was built on its
    features: stored embeddings and the detector. For hours too few to move an encoder.
    loaders: processes that draw views ahead of the step; 0 draws them in the step's own.
    """

    hours: float = 1.5
    dense_share: float = 0.27
    refine_share: float = 0.2
    calibration_share: float = 0.115
    exact_box_share: float = 0.6
    early_corrections: int = 2
    late_corrections: int = 4
    decoder_share: float = 0.6
    decoder_masks: int = 4
    learning_rate: float = 1e-3
    judge_learning_rate: float = 2e-3
    dense_weight: float = 0.7
    iou_weight: float = 2.0
    rank_weight: float = 0.02
    weight_decay: float = 0.05
    clip_norm: float = 1.0
    warmup_steps: int = 100
    save_every_steps: int = 20
    log_every_steps: int = 10
    seed: int = 20261123
    start: Path | None = None
    trunk: Path | None = None
    trunk_learning_rate_share: float = 0.2
    trunk_frozen_blocks: int = 7
    mask_alone_share: float = 0.5
    blank_share: float = 0.5
    blank_images: int = 2
    trains_encoder: bool = True
    device: str = "cpu"
    loaders: int = 0
    views: ViewSettings = field(default_factory=ViewSettings)


@dataclass(slots=True)
class _Clock:
    """Where the run is: seconds of all sittings, and steps."""

    now: Callable[[], float]
    before_s: float
    step: int
    share: float = 0.0
    started: float = field(init=False)

    def __post_init__(self) -> None:
        self.started = self.now()

    def elapsed_s(self) -> float:
        return self.before_s + self.now() - self.started

    def phase(self, config: StarterConfig) -> Phase:
        if self.share < config.dense_share:
            return Phase.DENSE
        return Phase.JUDGE if self.share >= 1 - config.calibration_share else Phase.WHOLE

    def is_late(self, config: StarterConfig) -> bool:
        return self.share >= 1 - config.calibration_share - config.refine_share


def build_model(config: StarterConfig) -> Sam:
    """Build the starter at the training size, with weights from the seed or the start."""
    torch.manual_seed(config.seed)
    shape = PRESETS["starter"].at_image_size(config.views.size_px)
    start = None if config.start is None else checkpoint_files.load(config.start)
    model = started(start, shape, trunk=config.trunk)
    model.image_encoder.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return model


def train_worker(
    rank: int, world: int, pool: Pool, config: StarterConfig, out_dir: Path, rendezvous: str
) -> None:
    """Run one of `world` processes to the end of the run; rank 0 logs and saves."""
    torch.set_num_threads(1)
    if world > 1:
        dist.init_process_group("gloo", init_method=rendezvous, rank=rank, world_size=world)
    model = build_model(config)
    preparing = copy.deepcopy(model).requires_grad_(False)  # stays here, whatever learns elsewhere
    model = model.to(config.device).train()
    if not config.trains_encoder:
        model.image_encoder.eval().requires_grad_(False)
    optimizer = _optimizer(model, config)
    clock = _resume(model, optimizer, out_dir, config)
    generator = torch.Generator().manual_seed(config.seed + 1000 * rank + clock.step)
    drawn = Batches(preparing, pool, config.views, seed=(config.seed, rank, clock.step))
    stream = batches(drawn, loaders=config.loaders)
    figures: list[dict[str, float]] = []
    while clock.share < 1.0:
        began = time.monotonic()
        _set_learning_rate(optimizer, clock, config)
        if clock.phase(config) is Phase.JUDGE:
            _hold_masks_still(model)
        batch = next(stream).to(model.device)
        loss, outcome = _step_loss(model, batch, config, clock, generator)
        optimizer.zero_grad(set_to_none=False)
        loss.backward()  # type: ignore[no-untyped-call]
        clock.share = _average(model, world, clock.elapsed_s() / (config.hours * 3600))
        norm = _clip(optimizer, config)
        if math.isfinite(norm):
            optimizer.step()
        clock.step += 1
        figures.append({**outcome, "norm": norm, "step_s": time.monotonic() - began})
        if rank == 0 and clock.step % config.log_every_steps == 0:
            _log(out_dir, clock, figures)
            figures = []
        if rank == 0 and (clock.step % config.save_every_steps == 0 or clock.share >= 1.0):
            _save(model, optimizer, clock, out_dir)
    if rank == 0:
        _export(model, config, clock, out_dir / EXPORT_NAME)
    if world > 1:
        dist.destroy_process_group()


def _step_loss(
    model: Sam, batch: ViewBatch, config: StarterConfig, clock: _Clock, generator: torch.Generator
) -> tuple[Tensor, dict[str, float]]:
    if model.click_maps is None:
        raise RuntimeError("the starter's configuration lost its click maps")
    phase = clock.phase(config)
    with step_autocast(model.device):
        encoded = model.encode(batch.images_b3ss)
    features = encoded.to(dtype=torch.float32)
    dense = dense_loss(
        model.click_maps,
        features.images(batch.view_of_mask),
        batch.masks_nss,
        generator=generator,
        exact_box_share=config.exact_box_share,
    )
    figures = {"dense": dense.loss.item(), "click": dense.click_iou, "box": dense.box_iou}
    share = {Phase.DENSE: 0.0, Phase.WHOLE: config.decoder_share, Phase.JUDGE: 1.0}[phase]
    chosen = torch.rand(len(batch.images_b3ss), generator=generator) < share
    if not chosen.any():
        return dense.loss, figures
    num_masks = config.views.max_masks if phase is Phase.JUDGE else config.decoder_masks
    rows = first_masks(batch, views=chosen, most=num_masks)
    result = interactive_loss(
        model,
        features.images(batch.view_of_mask[rows]),
        batch.masks_nss[rows],
        _annotator(config, is_late=clock.is_late(config)),
        generator,
    )
    num_passes = len(result.iou_by_pass)
    if float(torch.rand(1, generator=generator)) < config.blank_share:
        blank = blank_loss(
            model, config.blank_images, iou_weight=config.iou_weight, generator=generator
        )
        result = replace(result, total=result.total + blank)
        figures["blank"] = blank.item()
    decoded = float(chosen.float().mean())
    total = decoded * result.total / num_passes**0.5
    total = total + (1 - decoded + decoded * config.dense_weight) * dense.loss
    figures |= {
        "mask": result.mask / num_passes,
        "iou": result.iou / num_passes,
        "pass1": result.iou_by_pass[0],
        "best1": result.best_iou,
        "last": result.iou_by_pass[-1],
    }
    return total, figures


def _annotator(config: StarterConfig, *, is_late: bool) -> InteractiveConfig:
    return InteractiveConfig(
        num_corrections=config.late_corrections if is_late else config.early_corrections,
        min_corrections=0,
        mask_only_passes=1 if config.mask_alone_share else 0,
        mask_alone_share=config.mask_alone_share,
        central_share=0.5,
        exact_box_share=config.exact_box_share,
        iou_weight=config.iou_weight,
        rank_weight=config.rank_weight,
    )


def _optimizer(model: Sam, config: StarterConfig) -> torch.optim.AdamW:
    share = config.trunk_learning_rate_share
    still = (f"{TRUNK}stem.", *(f"{TRUNK}blocks.{i}." for i in range(config.trunk_frozen_blocks)))
    for name, parameter in model.named_parameters():
        if name.startswith(still if share else TRUNK):
            parameter.requires_grad_(False)
    learning = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    judges = [p for name, p in learning if name.startswith(JUDGES)]
    trunk = [p for name, p in learning if name.startswith(TRUNK)]
    rest = [p for name, p in learning if not name.startswith((*JUDGES, TRUNK))]
    groups: list[dict[str, Any]] = [
        {"params": [p for p in rest if p.ndim > 1], "weight_decay": config.weight_decay},
        {"params": [p for p in rest if p.ndim <= 1], "weight_decay": 0.0},
        {"params": judges, "weight_decay": 0.0, "is_judge": True},
    ]
    if trunk:  # no decay: it would pull it away from what it knows
        groups.append({"params": trunk, "weight_decay": 0.0, "learning_rate_share": share})
    return torch.optim.AdamW(groups, lr=config.learning_rate, betas=(0.9, 0.99), fused=True)


def _set_learning_rate(optimizer: torch.optim.AdamW, clock: _Clock, config: StarterConfig) -> None:
    warm = min(1.0, (clock.step + 1) / config.warmup_steps)
    whole = max(1e-6, 1 - config.dense_share - config.calibration_share)
    cosine = _fall(max(0.0, clock.share - config.dense_share) / whole)
    is_judging = clock.phase(config) is Phase.JUDGE
    for group in optimizer.param_groups:
        if group.get("is_judge"):
            left = (1 - clock.share) / max(1e-6, config.calibration_share)
            fall = _fall(1 - left) if is_judging else 1.0
            group["lr"] = config.judge_learning_rate * warm * fall
        else:
            share = group.get("learning_rate_share", 1.0)
            group["lr"] = 0.0 if is_judging else config.learning_rate * share * warm * cosine


def _fall(share: float) -> float:
    """Half a cosine from 1 down to 0.02."""
    return 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(1.0, share)))


def _clip(optimizer: torch.optim.AdamW, config: StarterConfig) -> float:
    """Clip masks and judges apart, so that noisy masks do not quieten the judges."""
    judges = [p for g in optimizer.param_groups if g.get("is_judge") for p in g["params"]]
    rest = [p for g in optimizer.param_groups if not g.get("is_judge") for p in g["params"]]
    norms = [nn.utils.clip_grad_norm_(part, config.clip_norm) for part in (rest, judges)]
    return float(sum(norms))


def _hold_masks_still(model: Sam) -> None:
    model.eval()
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name.startswith(JUDGES))


def _average(model: Sam, world: int, share: float) -> float:
    """Average gradients over processes, and the clock, so that all stop at the same step."""
    if world == 1:
        return share
    learning = [p for p in model.parameters() if p.requires_grad]
    gradients = [p.grad if p.grad is not None else torch.zeros_like(p) for p in learning]
    flat = torch.cat([g.reshape(-1) for g in gradients] + [torch.tensor([share])])
    dist.all_reduce(flat)
    flat /= world
    start = 0
    for parameter in learning:
        count = parameter.numel()
        mean = flat[start : start + count].view_as(parameter)
        if parameter.grad is None:
            parameter.grad = torch.empty_like(parameter)
        parameter.grad.copy_(mean)  # in place: a new tensor would lose channels-last
        start += count
    return float(flat[-1])


def _resume(
    model: Sam, optimizer: torch.optim.AdamW, out_dir: Path, config: StarterConfig
) -> _Clock:
    path = out_dir / STATE_NAME
    now = time.process_time if config.device == "cpu" else time.monotonic
    if not path.exists():
        return _Clock(now=now, before_s=0.0, step=0)
    state = torch.load(path, weights_only=True, map_location=config.device)
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    return _Clock(
        now=now,
        before_s=state["elapsed_s"],
        step=state["step"],
        share=state["elapsed_s"] / (config.hours * 3600),
    )


def _save(model: Sam, optimizer: torch.optim.AdamW, clock: _Clock, out_dir: Path) -> None:
    state = {
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "step": clock.step,
        "elapsed_s": clock.elapsed_s(),
    }
    partial = out_dir / (STATE_NAME + ".partial")
    torch.save(state, partial)
    partial.replace(out_dir / STATE_NAME)


def _export(model: Sam, config: StarterConfig, clock: _Clock, path: Path) -> None:
    """Write what the platform serves, at the preset's size, with the start's recommendations."""
    served = Sam(PRESETS["starter"])
    served.load_state_dict(model.state_dict())
    metadata = {} if config.start is None else checkpoint_files.read_header(config.start).metadata
    checkpoint_files.save(served, path, {**metadata, "step": clock.step}, dtype=torch.float16)


def _log(out_dir: Path, clock: _Clock, figures: list[dict[str, float]]) -> None:
    names = sorted({name for row in figures for name in row})
    means = {
        name: round(float(np.mean([row[name] for row in figures if name in row])), 4)
        for name in names
    }
    place = {"step": clock.step, "share": round(clock.share, 4), "hours": clock.elapsed_s() / 3600}
    line = json.dumps({**place, **means})
    with (out_dir / "log.jsonl").open("a") as file:
        file.write(line + "\n")
