"""Train the mask model on a manifest: the decoder on stored features, all of it, or adapters.

Files in, files out: a run folder with `model.safetensors` and `decoder.onnx`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from sam.automatic.recommended_settings import carried_on
from sam.checkpoints import checkpoint_files
from sam.export.onnx_decoder import export_decoder
from sam.modeling.features import ImageFeatures
from sam.modeling.model import Sam
from training.data.crop_dataset import add_crops
from training.data.examples import Example, Mixture, Pool, readable_examples, usable_examples
from training.data.features import FeatureStore, load_rgb
from training.data.manifest import ImageRecord, ManifestError, open_dataset
from training.finetuning import adapters
from training.finetuning.encoder_layers import learning_rate_shares
from training.finetuning.inputs import EncodedInputs, Inputs, StoredInputs
from training.loop.config import TrainConfig
from training.loop.optimisation import (
    LoopSettings,
    OnProgress,
    ParameterGroup,
    TrainStopped,
    never_stop,
    no_progress,
    run_loop,
    step_generator,
)
from training.loop.precision import step_autocast
from training.loop.processes import Processes, alone
from training.loop.run_folder import RunFolder, explain_unwritable, file_sha256, open_run
from training.losses.interactive import InteractiveLoss, interactive_loss

__all__ = ["TrainResult", "TrainStopped", "steps_for", "train"]

ENCODER = "image_encoder"
ADAPTERS = "adapters"
FEATURES_SHARE = 0.1  # of the progress bar
EXPORT_SHARE = 0.05
MASK_VISITS = 8  # how often a mask is prompted in a run of the default length
MIN_STEPS = 50  # about a minute for a handful of masks on two cores
MAX_STEPS = 200  # about ten minutes


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainResult:
    """A finished run. Metrics: first_loss and last_loss (means of a tenth of the steps), counts.

    problems: one sentence about each record, mask or image that was left out.
    """

    checkpoint_path: Path
    decoder_path: Path
    encoder_sha256: str
    metrics: Mapping[str, float]
    problems: tuple[str, ...] = field(default=())


def train(
    config: TrainConfig,
    manifest_path: Path,
    start_checkpoint: Path,
    out_dir: Path,
    *,
    mix_path: Path | None = None,
    processes: Processes | None = None,
    on_progress: OnProgress = no_progress,
    should_stop: Callable[[], bool] = never_stop,
) -> TrainResult:
    """Train on the manifest's train split, starting from a checkpoint.

    mix_path: an older set, of which every step takes `mix_share` of its images.
    processes: of a run that torchrun started; alone otherwise, on a GPU when there is one.
    The same call on the same `out_dir` resumes a run that was killed or stopped, and repeats its
    steps bit for bit on the same machine. Raises ManifestError, CheckpointError, TrainError, and
    TrainStopped after saving the state.
    """
    processes = processes or alone()
    sets = [open_dataset(Path(path), split="train") for path in (manifest_path, mix_path) if path]
    for manifest in sets:
        manifest.require_split("train")
    model = checkpoint_files.load(start_checkpoint, device=processes.device)
    size_px = model.config.image_size_px
    examples = [
        usable_examples(
            add_crops(manifest.in_split("train"), max_per_image=config.crops_per_image),
            size_px=size_px,
            config=config,
        )
        for manifest in sets
    ]
    identity = {
        "kind": "sam",
        "config": asdict(config),
        "manifest": sets[0].fingerprint,
        "mixed_with": sets[1].fingerprint if len(sets) > 1 else None,
        "start_sha256": file_sha256(Path(start_checkpoint)),
    }
    processes.first(lambda: open_run(Path(out_dir), identity=identity))
    run = RunFolder(path=Path(out_dir))
    trainer = _Trainer(model, config=config, run=run, processes=processes)
    trainer.problems += [f"{m.path}: {problem}" for m in sets for problem in m.problems]
    trainer.read(examples, on_progress=on_progress, should_stop=should_stop)
    trainer.optimise(on_progress=on_progress, should_stop=should_stop)
    result = trainer.result()
    on_progress(1.0 - EXPORT_SHARE / 2, "writing the model and its decoder")
    recommended = carried_on(start_checkpoint)
    processes.first(lambda: _write(model, result, config=config, recommended=recommended))
    on_progress(1.0, "model trained", **result.metrics)
    return result


def steps_for(num_masks: int, *, config: TrainConfig) -> int:
    """Return the number of steps of a run: fixed by the config, else by the number of masks."""
    if config.num_steps is not None:
        return config.num_steps
    per_step = config.images_per_step * config.masks_per_image
    return min(MAX_STEPS, max(MIN_STEPS, num_masks * MASK_VISITS // per_step))


class _Trainer:
    """One run: what it learns from, what of the model learns, and how."""

    def __init__(
        self, model: Sam, *, config: TrainConfig, run: RunFolder, processes: Processes
    ) -> None:
        # Evaluation mode throughout: batch statistics of a few images would spoil the norms.
        self.model = model.eval()
        self.config = config
        self.run = run
        self.processes = processes
        self.encoder_before = checkpoint_files.encoder_sha256(model)
        self.start = {name: value.clone() for name, value in model.state_dict().items()}
        self.adapters: nn.ModuleList | None = None
        self.inputs: Inputs
        if config.trainable == "decoder":
            model.image_encoder.requires_grad_(False)
            self.store = FeatureStore(model, cache_dir=run.path / "features")
            self.inputs = StoredInputs(self.store, config=config)
        else:
            self.inputs = EncodedInputs(model, config=config)
        if config.trainable == "lora":
            self.adapters = adapters.attach(
                model.image_encoder,
                rank=config.lora_rank,
                scale=config.lora_scale,
                seed=config.seed,
            )
        self.problems: list[str] = []
        self.examples: list[Example] = []
        self.mixture: Mixture

    def read(
        self,
        sets: Sequence[Sequence[Example]],
        *,
        on_progress: OnProgress,
        should_stop: Callable[[], bool],
    ) -> None:
        """Read every image once, so that a bad one is told now and not at hour three."""
        pools: list[Pool] = []
        for index, examples in enumerate(sets):

            def on_image(done: int, *, index: int = index, total: int = len(examples)) -> None:
                share = (index + done / total) / len(sets)
                on_progress(FEATURES_SHARE * share, f"read {done} of {total} images")

            kept, unread = readable_examples(
                examples,
                read=self._read,
                processes=self.processes,
                on_image=on_image,
                should_stop=should_stop,
            )
            self.problems += unread
            pools.append(Pool(kept))
            self.examples += kept
        old = pools[1] if len(pools) > 1 else None
        self.mixture = Mixture(new=pools[0], old=old, old_share=self.config.mix_share)
        if self.problems:
            self.processes.first(lambda: self.run.note_problems(self.problems))

    def _read(self, image: ImageRecord) -> object:
        if self.config.trainable == "decoder":
            return self.store.get(image)
        return load_rgb(image.image_path)

    def optimise(self, *, on_progress: OnProgress, should_stop: Callable[[], bool]) -> None:
        """Take the steps that are left, merge adapters into the encoder, average with the start."""
        config = self.config

        def on_step(fraction: float, message: str, **figures: float) -> None:
            share = 1.0 - FEATURES_SHARE - EXPORT_SHARE
            on_progress(FEATURES_SHARE + share * fraction, message, **figures)

        run_loop(
            self._trained(),
            groups=self._groups(),
            settings=LoopSettings(
                num_steps=steps_for(_num_masks(self.examples), config=config),
                learning_rate=config.learning_rate,
                weight_decay=config.weight_decay,
                warmup_steps=config.warmup_steps,
                clip_norm=config.clip_norm,
                checkpoint_every_steps=config.checkpoint_every_steps,
                seed=config.seed,
                betas=config.betas,
                schedule=config.schedule,
                milestones=config.milestones,
                decay_factor=config.decay_factor,
            ),
            run=self.run,
            compute_gradients=self._gradients,
            on_progress=on_step,
            should_stop=should_stop,
            processes=self.processes,
        )
        adapters.merge(self.model.image_encoder)
        self._average_with_start()

    @torch.no_grad()
    def _average_with_start(self) -> None:
        """Leave each weight between where it was and where it went; what stood still is exact."""
        for name, value in self.model.state_dict().items():
            # Averaging -0.0 with itself gives 0.0, which is another weight to its SHA-256.
            if value.is_floating_point() and not torch.equal(value, self.start[name]):
                value.lerp_(self.start[name], self.config.start_share)

    def result(self) -> TrainResult:
        """Return what the run was: its files are still to be written."""
        encoder = checkpoint_files.encoder_sha256(self.model)
        if self.config.trainable == "decoder" and encoder != self.encoder_before:
            raise RuntimeError("training the decoder changed the encoder: stored features are void")
        losses = [float(line["loss"]) for line in self.run.figures()]
        tenth = max(1, len(losses) // 10)
        return TrainResult(
            checkpoint_path=self.run.model_path,
            decoder_path=self.run.path / "decoder.onnx",
            encoder_sha256=encoder,
            metrics={
                "first_loss": sum(losses[:tenth]) / tenth,
                "last_loss": sum(losses[-tenth:]) / tenth,
                "num_steps": len(losses),
                "num_images": len(self.examples),
                "num_masks": _num_masks(self.examples),
                "num_problems": len(self.problems),
            },
            problems=tuple(self.problems),
        )

    def _trained(self) -> dict[str, nn.Module]:
        trained = {
            name: module
            for name, module in self.model.named_children()
            if self.config.trainable == "all" or name != ENCODER
        }
        return trained if self.adapters is None else trained | {ADAPTERS: self.adapters}

    def _groups(self) -> list[ParameterGroup]:
        groups = []
        for name, module in self._trained().items():
            if name == ENCODER:
                groups += self._encoder_groups(module)
            else:
                groups.append(ParameterGroup(parameters=list(module.parameters())))
        return groups

    def _encoder_groups(self, encoder: nn.Module) -> list[ParameterGroup]:
        by_share: dict[float, list[nn.Parameter]] = {}
        for name, share in learning_rate_shares(encoder, decay=self.config.layer_decay).items():
            by_share.setdefault(share, []).append(encoder.get_parameter(name))
        return [
            ParameterGroup(
                parameters=parameters,
                learning_rate_share=share * self.config.encoder_learning_rate_share,
            )
            for share, parameters in by_share.items()
        ]

    def _gradients(self, *, step: int, generator: torch.Generator) -> dict[str, float]:
        num = self.config.images_per_step
        drawn = self.mixture.draw(step=step, num=num, generator=generator)
        names = ("loss", "mask_loss", "iou_loss", "first_iou", "last_iou", "unread_images")
        totals = dict.fromkeys(names, 0.0)
        for place, example in self.processes.share_of(drawn):
            # Each image has its own randomness, whichever process visits it.
            own = step_generator(seed=self.config.seed, step=step, place=place)
            torch.manual_seed(own.initial_seed())
            try:
                loss = self._visit(example, weight=1 / len(drawn), generator=own)
            except ManifestError:  # it could be read at the start: skip it this time
                totals["unread_images"] += 1
                continue
            found = (
                loss.total.item(),
                loss.mask,
                loss.iou,
                loss.iou_by_pass[0],
                loss.iou_by_pass[-1],
            )
            for name, value in zip(names, found, strict=False):
                totals[name] += value / len(drawn)
        return totals

    def _visit(
        self, example: Example, *, weight: float, generator: torch.Generator
    ) -> InteractiveLoss:
        """Back-propagate one image's passes, each at once, then through the encoder if it learns.

        One image at a time: its passes already fill the memory of a small machine.
        """
        features, masks = self.inputs(example, generator=generator)
        features = features.to(dtype=torch.float32)  # where the passes' gradients add up
        leaves = _cut_off(features)
        device = self.model.device

        def on_pass(loss: Tensor) -> None:
            with torch.autocast(device.type, enabled=False):
                (loss * weight).backward()  # type: ignore[no-untyped-call]

        with step_autocast(device):
            loss = interactive_loss(
                self.model, leaves, masks, self.config.interactive, generator, on_pass=on_pass
            )
        pairs = [(a, b.grad) for a, b in zip(_maps(features), _maps(leaves), strict=True)]
        learning = [(a, grad) for a, grad in pairs if a.requires_grad and grad is not None]
        if learning:
            torch.autograd.backward([a for a, _ in learning], [grad for _, grad in learning])
        return loss


def _cut_off(features: ImageFeatures) -> ImageFeatures:
    """Return the features as leaves that collect the gradients of all passes."""
    if not any(part.requires_grad for part in _maps(features)):
        return features
    parts = [part.detach().requires_grad_() for part in _maps(features)]
    return ImageFeatures(parts[0], parts[1] if len(parts) > 1 else None)


def _maps(features: ImageFeatures) -> list[Tensor]:
    high = features.high_res_features
    return [features.image_embeddings] + ([] if high is None else [high])


def _write(
    model: Sam, result: TrainResult, *, config: TrainConfig, recommended: Mapping[str, object]
) -> None:
    model.to("cpu")
    noted = {"metrics": dict(result.metrics), "config": asdict(config), **recommended}
    with explain_unwritable(result.checkpoint_path):
        checkpoint_files.save(model, result.checkpoint_path, noted)
    with explain_unwritable(result.decoder_path):
        export_decoder(model, result.decoder_path)


def _num_masks(examples: Sequence[Example]) -> int:
    return sum(len(example.rles) for example in examples)
