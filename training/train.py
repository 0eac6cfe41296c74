"""Retrain the mask model on a manifest: the decoder on stored features, or all of it.

Files in, files out: a run folder with `model.safetensors` and `decoder.onnx`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from masks.rle import Rle
from sam import checkpoints
from sam.coordinates import Frame
from sam.features import ImageFeatures
from sam.model import Sam
from sam.onnx_export import export_decoder
from training.config import TrainConfig
from training.features import FeatureStore, load_rgb
from training.interactive import interactive_loss
from training.loop import (
    LoopSettings,
    OnProgress,
    ParameterGroup,
    TrainStopped,
    never_stop,
    no_progress,
    run_loop,
)
from training.manifest import ImageRecord, open_dataset
from training.precision import step_autocast
from training.run_folder import METRICS_NAME, RunFolder, TrainError, file_sha256, open_run
from training.sampling import draw_images, image_weights
from training.targets import model_masks

ENCODER = "image_encoder"
FEATURES_SHARE = 0.1  # of the progress bar
EXPORT_SHARE = 0.05
MASK_VISITS = 8  # how often a mask is prompted in a run of the default length
MIN_STEPS = 50  # about a minute for a handful of masks on two cores
MAX_STEPS = 200  # about ten minutes


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainResult:
    """A finished run. Metrics: first_loss and last_loss (means of a tenth of the steps), counts."""

    checkpoint_path: Path
    decoder_path: Path
    encoder_sha256: str
    metrics: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Example:
    image: ImageRecord
    rles: tuple[Rle, ...]


def train(
    config: TrainConfig,
    manifest_path: Path,
    start_checkpoint: Path,
    out_dir: Path,
    *,
    on_progress: OnProgress = no_progress,
    should_stop: Callable[[], bool] = never_stop,
) -> TrainResult:
    """Train on the manifest's train side, starting from a checkpoint.

    The same call on the same `out_dir` resumes a run that was killed or stopped, and repeats its
    steps bit for bit. Raises ManifestError, CheckpointError, TrainError, and TrainStopped after
    saving the state.
    """
    manifest = open_dataset(Path(manifest_path), side="train")
    model = checkpoints.load(start_checkpoint)
    examples = _examples(manifest.require_side("train"), model=model, config=config)
    run = open_run(
        Path(out_dir),
        identity={
            "kind": "sam",
            "config": asdict(config),
            "manifest": manifest.fingerprint,
            "start_sha256": file_sha256(Path(start_checkpoint)),
        },
    )
    get_features = _feature_source(
        model, config, examples, run=run, on_progress=on_progress, should_stop=should_stop
    )
    encoder_before = checkpoints.encoder_sha256(model)
    _optimise(
        model,
        config=config,
        examples=examples,
        get_features=get_features,
        run=run,
        on_progress=on_progress,
        should_stop=should_stop,
    )
    encoder_after = checkpoints.encoder_sha256(model)
    if config.trainable == "decoder" and encoder_after != encoder_before:
        raise RuntimeError("training the decoder changed the encoder: stored features are void")
    metrics = _metrics(run, examples)
    on_progress(1.0 - EXPORT_SHARE / 2, "writing the model and its decoder")
    checkpoints.save(model, run.model_path, {"metrics": metrics, "config": asdict(config)})
    report = export_decoder(model, run.path / "decoder.onnx")
    on_progress(1.0, "model trained", **metrics)
    return TrainResult(
        checkpoint_path=run.model_path,
        decoder_path=report.path,
        encoder_sha256=encoder_after,
        metrics=metrics,
    )


def steps_for(num_masks: int, *, config: TrainConfig) -> int:
    """Return the number of steps of a run: fixed by the config, else by the number of masks."""
    if config.num_steps is not None:
        return config.num_steps
    per_step = config.images_per_step * config.masks_per_image
    return min(MAX_STEPS, max(MIN_STEPS, num_masks * MASK_VISITS // per_step))


def _examples(images: Sequence[ImageRecord], *, model: Sam, config: TrainConfig) -> list[_Example]:
    examples = []
    for image in images:
        height_px, width_px = image.image_hw
        limit_px = config.max_area_share * height_px * width_px
        frame = Frame(image.image_hw, model.config.image_size_px)
        rles = tuple(
            mask.rle
            for mask in image.masks
            if mask.rle.area_px <= limit_px and bool(model_masks([mask.rle], frame=frame).any())
        )
        if rles:
            examples.append(_Example(image=image, rles=rles))
    if not examples:
        raise TrainError("no mask to learn from: each covers nearly its whole image, or no pixel")
    return examples


def _feature_source(
    model: Sam,
    config: TrainConfig,
    examples: Sequence[_Example],
    *,
    run: RunFolder,
    on_progress: OnProgress,
    should_stop: Callable[[], bool],
) -> Callable[[ImageRecord], ImageFeatures]:
    # Evaluation mode throughout: batch statistics of a handful of images would spoil the norms.
    model.eval()
    if config.trainable == "all":
        return lambda image: model.encode(model.preprocess(load_rgb(image.image_path)))
    model.get_submodule(ENCODER).requires_grad_(False)
    store = FeatureStore(model, cache_dir=run.path / "features")

    def on_image(done: int) -> None:
        on_progress(FEATURES_SHARE * done / len(examples), f"read {done} of {len(examples)} images")

    images = [example.image for example in examples]
    if not store.prepare(images, on_image=on_image, should_stop=should_stop):
        raise TrainStopped("stopped while encoding images; what is encoded is kept")
    return store.get


def _optimise(
    model: Sam,
    *,
    config: TrainConfig,
    examples: Sequence[_Example],
    get_features: Callable[[ImageRecord], ImageFeatures],
    run: RunFolder,
    on_progress: OnProgress,
    should_stop: Callable[[], bool],
) -> None:
    weights = image_weights([example.image.source for example in examples])

    def compute_gradients(*, step: int, generator: torch.Generator) -> dict[str, float]:
        drawn = draw_images(weights, num=config.images_per_step, generator=generator)
        chosen = [examples[index] for index in drawn]
        return _gradients(
            model, chosen, get_features=get_features, config=config, generator=generator
        )

    def on_step(fraction: float, message: str, **figures: float) -> None:
        share = 1.0 - FEATURES_SHARE - EXPORT_SHARE
        on_progress(FEATURES_SHARE + share * fraction, message, **figures)

    run_loop(
        _trained_modules(model, config=config),
        groups=_groups(model, config=config),
        settings=LoopSettings(
            num_steps=steps_for(_num_masks(examples), config=config),
            learning_rate=config.learning_rate,
            weight_decay=config.weight_decay,
            warmup_steps=config.warmup_steps,
            clip_norm=config.clip_norm,
            checkpoint_every_steps=config.checkpoint_every_steps,
            seed=config.seed,
        ),
        run=run,
        compute_gradients=compute_gradients,
        on_progress=on_step,
        should_stop=should_stop,
    )


def _gradients(
    model: Sam,
    examples: Sequence[_Example],
    *,
    get_features: Callable[[ImageRecord], ImageFeatures],
    config: TrainConfig,
    generator: torch.Generator,
) -> dict[str, float]:
    totals = {"loss": 0.0, "mask_loss": 0.0, "iou_loss": 0.0, "first_iou": 0.0, "last_iou": 0.0}
    for example in examples:
        masks = _draw_masks(model, example, config=config, generator=generator)
        with step_autocast():
            features = get_features(example.image)
            loss = interactive_loss(model, features, masks, config.interactive, generator)
        # One image at a time: the passes of one image already fill the memory of a small machine.
        (loss.total / len(examples)).backward()  # type: ignore[no-untyped-call]
        found = {
            "loss": loss.total.item(),
            "mask_loss": loss.mask,
            "iou_loss": loss.iou,
            "first_iou": loss.iou_by_pass[0],
            "last_iou": loss.iou_by_pass[-1],
        }
        totals = {name: totals[name] + value / len(examples) for name, value in found.items()}
    return totals


def _draw_masks(
    model: Sam, example: _Example, *, config: TrainConfig, generator: torch.Generator
) -> Tensor:
    order = torch.randperm(len(example.rles), generator=generator)[: config.masks_per_image]
    frame = Frame(example.image.image_hw, model.config.image_size_px)
    return model_masks([example.rles[int(index)] for index in order], frame=frame)


def _trained_modules(model: Sam, *, config: TrainConfig) -> dict[str, nn.Module]:
    return {
        name: module
        for name, module in model.named_children()
        if config.trainable == "all" or name != ENCODER
    }


def _groups(model: Sam, *, config: TrainConfig) -> list[ParameterGroup]:
    groups = []
    for name, module in _trained_modules(model, config=config).items():
        share = config.encoder_learning_rate_share if name == ENCODER else 1.0
        groups.append(
            ParameterGroup(parameters=list(module.parameters()), learning_rate_share=share)
        )
    return groups


def _num_masks(examples: Sequence[_Example]) -> int:
    return sum(len(example.rles) for example in examples)


def _metrics(run: RunFolder, examples: Sequence[_Example]) -> dict[str, float]:
    lines = (run.path / METRICS_NAME).read_text(encoding="utf-8").splitlines()
    losses = [float(json.loads(line)["loss"]) for line in lines]
    tenth = max(1, len(losses) // 10)
    return {
        "first_loss": sum(losses[:tenth]) / tenth,
        "last_loss": sum(losses[-tenth:]) / tenth,
        "num_steps": len(losses),
        "num_images": len(examples),
        "num_masks": _num_masks(examples),
    }
