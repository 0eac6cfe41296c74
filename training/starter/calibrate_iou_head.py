"""Fits the predicted IoU alone: masks and encoder hold still, so each view is decoded just once.

`python -m training.starter.calibrate_iou_head --data DIR --run RUN --checkpoint FILE --out FILE`;
the photos that `training.starter` held back and its scenes are read, now at the serving size: on
photos that were learnt, masks are better than a user gets. What was decoded is kept in RUN, so a
cut-off fit goes on where it was; figures on views left out of the fit go to judged.json.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sam.automatic.recommended_settings import RECOMMENDED_KEY, recommended_in
from sam.checkpoints import checkpoint_files
from sam.modeling.features import ImageFeatures
from sam.modeling.mask_decoder import IouFromMasks
from sam.modeling.model import Sam
from sam.prompts import BOX_LABELS, Decoded, Prompts
from training.losses.interactive import upscaled
from training.losses.mask_losses import mask_iou, order_loss
from training.losses.simulated_prompts import boxes_of_masks, clicks_in, noised_boxes
from training.starter.batches import images_of
from training.starter.data import Pool, ViewSettings, cached_pool, draw_batch

AMBIGUITY = slice(1, 4)
KEPT_NAME = "judged.pt"
REPORT_NAME = "judged.json"
KEEP_EVERY_VIEWS = 20


@dataclass(frozen=True, kw_only=True)
class CalibrationConfig:
    """The numbers of the fit; the last four were compared on held-out views of the training sets.

    num_views: decoded once each, with up to `max_masks` clicks and half as many boxes.
    holdout_share: of the views, which only report.
    rank_weight, rank_scale: beside the squared error, a cross-entropy between the softmax of
    predicted and of true IoU over the three masks of a prompt: their order decides what is shown.
    """

    num_views: int = 400
    photo_share: float = 0.8
    whole_share: float = 0.7
    max_masks: int = 8
    central_share: float = 0.7
    exact_box_share: float = 0.7
    holdout_share: float = 0.2
    batch_prompts: int = 128
    weight_decay: float = 0.05
    dropout: float = 0.1
    seed: int = 20261123
    epochs: int = 5
    learning_rate: float = 1e-3
    rank_weight: float = 0.02
    rank_scale: float = 0.1


@dataclass(slots=True)
class IouSamples:
    """What judges see of each mask and what is true, one row per prompt.

    inputs: (M, 4, D) float16 from IouFromMasks.inputs_of. predicted, true_iou: (M, 4). view: (M,).
    is_box: (M,) bool.
    """

    inputs: Tensor
    predicted: Tensor
    true_iou: Tensor
    view: Tensor
    is_box: Tensor

    @property
    def num_views(self) -> int:
        """How many views were decoded."""
        return int(self.view.max()) + 1

    def rows(self, chosen: Tensor) -> IouSamples:
        """Return the rows that a mask (M,) or indices choose."""
        return IouSamples(**{name: value[chosen] for name, value in self.columns().items()})

    def columns(self) -> dict[str, Tensor]:
        """Return everything by name."""
        return {column.name: getattr(self, column.name) for column in fields(self)}


@dataclass(frozen=True, slots=True)
class CalibrationReport:
    """Mean IoU of the picked and of the best of three, and mean error of the predicted IoU."""

    picked: float
    best: float
    error: float


def collect(
    model: Sam, pool: Pool, config: CalibrationConfig, *, kept: Path | None = None
) -> IouSamples:
    """Decode clicks and boxes of `num_views` views; view k depends on the seed and k alone.

    kept: a file that holds what was decoded so far, and is written again now and then.
    """
    parts: list[IouSamples] = []
    if kept is not None and kept.exists():
        columns = torch.load(kept, weights_only=True)
        if "seen" in columns:  # written before the column was renamed
            columns["inputs"] = columns.pop("seen")
        parts.append(IouSamples(**columns))
    for number in range(parts[0].num_views if parts else 0, config.num_views):
        parts.append(_decode_view(model, pool, config, number))
        is_last = number + 1 == config.num_views
        if kept is not None and (is_last or (number + 1) % KEEP_EVERY_VIEWS == 0):
            parts = [_joined(parts)]
            partial = kept.with_suffix(".partial")
            torch.save(parts[0].columns(), partial)
            partial.replace(kept)
    return _joined(parts)


def fit(
    model: Sam, samples: IouSamples, config: CalibrationConfig
) -> tuple[CalibrationReport, CalibrationReport]:
    """Fit the two heads that predict IoU, in place; report before and after on held-out views."""
    held_out = _held_out(samples, config)
    holdout, learnt = samples.rows(held_out), samples.rows(~held_out)
    before = report(holdout.predicted, holdout.true_iou)
    heads = (model.mask_decoder.iou_prediction_head, _iou_head(model).mlp)
    parameters = [parameter for head in heads for parameter in head.parameters()]
    optimizer = torch.optim.AdamW(
        parameters, config.learning_rate, weight_decay=config.weight_decay
    )
    num_steps = config.epochs * max(1, len(learnt.view) // config.batch_prompts)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, config.learning_rate, total_steps=num_steps
    )
    generator = torch.Generator().manual_seed(config.seed)
    for _ in range(num_steps):
        drawn = torch.randint(len(learnt.view), (config.batch_prompts,), generator=generator)
        batch = learnt.rows(drawn)
        kept = torch.rand(batch.inputs.shape, generator=generator) >= config.dropout
        inputs = batch.inputs.float() * kept / (1 - config.dropout)
        loss = judge_loss(predict(model, inputs), batch.true_iou, config)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
    with torch.no_grad():
        after = report(predict(model, holdout.inputs.float()), holdout.true_iou)
    return before, after


def judge_loss(predicted: Tensor, true_iou: Tensor, config: CalibrationConfig) -> Tensor:
    """Return the squared error of all masks (M, 4) plus the error of the three masks' order."""
    order = order_loss(
        predicted[:, AMBIGUITY], true_iou[:, AMBIGUITY], scale=config.rank_scale
    ).mean()
    return (predicted - true_iou).square().mean() + config.rank_weight * order


def predict(model: Sam, inputs: Tensor) -> Tensor:
    """Return the predicted IoU (M, 4) of what was seen (M, 4, D), as the decoder would."""
    iou_token = inputs[:, 0, : model.config.embed_channels]
    from_token: Tensor = model.mask_decoder.iou_prediction_head(iou_token)
    from_masks: Tensor = _iou_head(model).mlp(inputs)
    return from_token + from_masks.squeeze(-1)


def report(predicted: Tensor, true_iou: Tensor) -> CalibrationReport:
    """Compare predicted and true IoU (M, 4) of the three ambiguity masks."""
    guess, truth = predicted[:, AMBIGUITY], true_iou[:, AMBIGUITY]
    picked = truth.gather(1, guess.argmax(1, keepdim=True))
    return CalibrationReport(
        picked=float(picked.mean()),
        best=float(truth.amax(1).mean()),
        error=float((guess - truth).abs().mean()),
    )


def threshold_like(threshold: float, *, before: Tensor, after: Tensor) -> float:
    """Return what lets as many masks pass as `threshold` did: predicted IoU (M,) of the same."""
    share = float((before < threshold).float().mean())
    return float(after.quantile(share))


def _held_out(samples: IouSamples, config: CalibrationConfig) -> Tensor:
    return samples.view < config.holdout_share * samples.num_views


def _iou_head(model: Sam) -> IouFromMasks:
    head = model.mask_decoder.iou_from_masks
    if head is None:
        raise ValueError("this model predicts IoU without looking at its masks")
    return head


def _joined(parts: Sequence[IouSamples]) -> IouSamples:
    return IouSamples(
        **{name: torch.cat([part.columns()[name] for part in parts]) for name in parts[0].columns()}
    )


@torch.no_grad()
def _decode_view(model: Sam, pool: Pool, config: CalibrationConfig, number: int) -> IouSamples:
    size = model.config.image_size_px
    settings = ViewSettings(
        size_px=size,
        batch_images=1,
        max_masks=config.max_masks,
        photo_share=config.photo_share,
        whole_share=config.whole_share,
    )
    generator = torch.Generator().manual_seed(config.seed + number)
    views = draw_batch(pool, settings, rng=np.random.default_rng([config.seed, number]))
    features = model.encode(images_of(model, views))
    masks = torch.from_numpy(views[0].masks_nhw)
    parts: list[IouSamples] = []
    for prompts, truths in _first_prompts(masks, config, generator):
        inputs, decoded = _decode_with_inputs(model, features, prompts)
        full = upscaled(decoded.low_res_logits, size_px=size)
        parts.append(
            IouSamples(
                inputs=inputs.half(),
                predicted=decoded.predicted_iou,
                true_iou=mask_iou(full, truths[:, None]),
                view=torch.full((len(truths),), number),
                is_box=(prompts.point_labels == BOX_LABELS[0]).any(1),
            )
        )
    return _joined(parts)


def _first_prompts(
    masks: Tensor, config: CalibrationConfig, generator: torch.Generator
) -> Iterator[tuple[Prompts, Tensor]]:
    """Give every mask a click, and every second one a box."""
    clicks = clicks_in(masks, generator=generator, central_share=config.central_share)
    labels = torch.ones(len(masks), 1, dtype=torch.int64)
    yield Prompts.make(clicks[:, None], labels), masks
    boxed = masks[::2]
    boxes = noised_boxes(
        boxes_of_masks(boxed),
        image_hw=tuple(masks.shape[1:]),
        generator=generator,
        exact_share=config.exact_box_share,
    )
    yield Prompts.make(boxes=boxes), boxed


def _decode_with_inputs(
    model: Sam, features: ImageFeatures, prompts: Prompts
) -> tuple[Tensor, Decoded]:
    """Decode, and return the inputs of the IoU head too; prompt sets may be decoded in chunks."""
    inputs: list[Tensor] = []

    def keep(module: nn.Module, arguments: tuple[Tensor, ...]) -> None:
        inputs.append(arguments[0])

    hook = _iou_head(model).mlp.register_forward_pre_hook(keep)
    try:
        decoded = model.decode(features, prompts)
    finally:
        hook.remove()
    return torch.cat(inputs), decoded


def main() -> None:
    """Decode views, fit the judges, carry the automatic threshold over, and save."""
    parser = argparse.ArgumentParser(prog="python -m training.starter.calibrate_iou_head")
    parser.add_argument("--data", type=Path, required=True, help="folder of the training sets")
    parser.add_argument("--run", type=Path, required=True, help="folder for what is decoded")
    parser.add_argument("--cache", type=Path, help="of photos and scenes; default: the run folder")
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True, help="checkpoint to write, float16")
    parser.add_argument("--scenes", type=int, default=2000)
    parser.add_argument("--views", type=int, default=CalibrationConfig.num_views)
    options = parser.parse_args()
    config = CalibrationConfig(num_views=options.views)
    model = checkpoint_files.load(options.checkpoint)
    metadata = checkpoint_files.read_header(options.checkpoint).metadata
    run: Path = options.run
    run.mkdir(parents=True, exist_ok=True)
    cache: Path = options.cache or run
    _, pool = cached_pool(options.data, cache, num_scenes=options.scenes, seed=config.seed).parted()
    samples = collect(model, pool, config, kept=run / KEPT_NAME)
    before, after = fit(model, samples, config)
    figures = {"before": asdict(before), "after": asdict(after)}
    (run / REPORT_NAME).write_text(json.dumps(figures), encoding="utf-8")
    _carry_threshold(model, metadata, samples)
    checkpoint_files.save(model, options.out, metadata, dtype=torch.float16)


def _carry_threshold(model: Sam, metadata: dict[str, Any], samples: IouSamples) -> None:
    """Let as many masks of clicks pass in the automatic stage as before."""
    clicked = samples.rows(~samples.is_box)
    with torch.no_grad():
        now = predict(model, clicked.inputs.float())
    advice = recommended_in(metadata)
    if "pred_iou_thresh" in advice:
        threshold = threshold_like(
            advice["pred_iou_thresh"],
            before=clicked.predicted[:, AMBIGUITY].flatten(),
            after=now[:, AMBIGUITY].flatten(),
        )
        metadata[RECOMMENDED_KEY] = {**advice, "pred_iou_thresh": round(threshold, 2)}


if __name__ == "__main__":
    main()
