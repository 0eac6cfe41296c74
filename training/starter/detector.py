"""Trains the shipped detector on views drawn as it goes: no two steps see the same pictures.

`python -m training.starter.detector --data DIR --sam CHECKPOINT --out RUN`. The encoder stays
frozen. Where features are cached instead (`training.train_detector`), variety ends with the cache.
"""

from __future__ import annotations

import argparse
import copy
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sam.checkpoints import checkpoint_files
from sam.coordinates import Frame
from sam.detection import object_detector
from sam.detection.object_detector import ObjectDetector
from sam.modeling.features import ImageFeatures
from sam.modeling.model import Sam
from training.command_line import ProgressBar, exit_code_of
from training.detector.detector_config import DetectorTrainConfig
from training.detector.detector_loss import add_gradients
from training.detector.detector_metrics import ImageDetections, balanced_threshold
from training.detector.detector_start import adopted_detector, new_detector
from training.detector.train_detector import (
    EVALUATION_SCORE_THRESH,
    are_objects,
    loop_settings,
)
from training.loop.optimisation import OnProgress, ParameterGroup, run_loop
from training.loop.run_folder import file_sha256, open_run
from training.loop.stopping import stop_on_signals
from training.losses.simulated_prompts import boxes_of_masks
from training.starter.batches import images_of, in_order
from training.starter.data import Pool, ViewSettings, cached_pool, draw_batch
from training.starter.views import View

Floats = NDArray[np.float32]
ALL_MASKS = 10_000
CALIBRATION_BATCHES = 12
SCENES_SEED = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class StarterDetectorConfig:
    """The recipe's numbers.

    shapes: width and tower layers of each detector; several learn side by side from the same
    views, so that their figures can be compared.
    start: a detector, maybe of an earlier encoder, whose weights one of its shape begins with.
    loaders: processes that draw views ahead; they change no view.
    """

    num_steps: int = 1200
    shapes: tuple[tuple[int, int], ...] = ((64, 2),)
    start: Path | None = None
    device: str = "cpu"
    loaders: int = 0
    views: ViewSettings = field(
        default_factory=lambda: ViewSettings(
            size_px=512, batch_images=8, max_masks=ALL_MASKS, photo_share=0.6
        )
    )
    learning: DetectorTrainConfig = field(
        default_factory=lambda: DetectorTrainConfig(seed=7, notes_object_size=False)
    )


@dataclass(frozen=True, slots=True)
class BoxBatch:
    """The views of one step, with what the detector learns of them.

    images_b3ss: encoder input, float32. boxes_xyxy: (M, 4) float32 of each view, model px; no
    tensors, for each would take a file handle on its way from a loading process.
    valid_hw: the part of each square that holds a picture.
    """

    images_b3ss: Tensor
    boxes_xyxy: tuple[Floats, ...]
    valid_hw: tuple[tuple[int, int], ...]

    def pin_memory(self) -> BoxBatch:
        """Let a GPU fetch the pictures by itself; the loader calls this."""
        return replace(self, images_b3ss=self.images_b3ss.pin_memory())


@dataclass(frozen=True, slots=True, kw_only=True)
class BoxBatches:
    """Batches by number: batch k depends on the seed and k alone."""

    model: Sam
    pool: Pool
    views: ViewSettings
    seed: int
    max_area_share: float

    def __getitem__(self, number: int) -> BoxBatch:
        rng = np.random.default_rng([self.seed, number])
        views = draw_batch(self.pool, self.views, rng=rng)
        return BoxBatch(
            images_b3ss=images_of(self.model, views),
            boxes_xyxy=tuple(boxes_of(v, max_area_share=self.max_area_share) for v in views),
            valid_hw=tuple(view.valid_hw for view in views),
        )


def boxes_of(view: View, *, max_area_share: float) -> Floats:
    """Return the (M, 4) xyxy boxes of a view's masks, without boxes of nearly everything."""
    boxes: Floats = boxes_of_masks(torch.from_numpy(view.masks_nhw)).numpy()
    return boxes[are_objects(boxes, image_hw=view.valid_hw, max_area_share=max_area_share)]


def train_starter_detector(
    pool: Pool,
    sam_checkpoint: Path,
    config: StarterDetectorConfig,
    out_dir: Path,
    *,
    on_progress: OnProgress,
    should_stop: Callable[[], bool],
) -> list[Path]:
    """Train one detector a shape; returns their files. The same call resumes a stopped run."""
    run = open_run(
        out_dir,
        identity={
            "kind": "starter detector",
            "config": _noted(config),
            "sam_sha256": file_sha256(sam_checkpoint),
        },
    )
    model = checkpoint_files.load(sam_checkpoint)
    preparing = copy.deepcopy(model)  # loading processes must not touch a GPU
    model = model.to(config.device).eval().requires_grad_(False)
    detectors = {
        f"{width}x{layers}": new_detector(
            preparing, width=width, tower_layers=layers, seed=config.learning.seed
        ).to(config.device)
        for width, layers in config.shapes
    }
    if config.start is not None:
        encoder_sha256 = checkpoint_files.encoder_sha256(preparing)
        begun = adopted_detector(preparing, config.start, encoder_sha256=encoder_sha256)
        detectors[f"{begun.config.width}x{begun.config.tower_layers}"] = begun.to(config.device)
    drawn = BoxBatches(
        model=preparing,
        pool=pool,
        views=config.views,
        seed=config.learning.seed,
        max_area_share=config.learning.max_area_share,
    )
    stream: Iterator[BoxBatch] | None = None

    def compute_gradients(*, step: int, generator: torch.Generator) -> dict[str, float]:
        nonlocal stream
        if stream is None:  # a resumed run begins at a later batch
            numbers = range(step, config.num_steps)
            stream = in_order(drawn, numbers, loaders=config.loaders)
        return _gradients(model, detectors, next(stream), config=config)

    run_loop(
        detectors,
        groups=[ParameterGroup(parameters=list(one.parameters())) for one in detectors.values()],
        settings=loop_settings(config.learning, num_steps=config.num_steps),
        run=run,
        compute_gradients=compute_gradients,
        on_progress=on_progress,
        should_stop=should_stop,
    )
    further = range(config.num_steps, config.num_steps + CALIBRATION_BATCHES)
    _calibrate(model, detectors, in_order(drawn, further, loaders=config.loaders))
    paths = []
    for name, detector in detectors.items():
        paths.append(out_dir / f"detector-{name}.safetensors")
        object_detector.save(detector, paths[-1], {"config": _noted(config)})
    return paths


def _noted(config: StarterDetectorConfig) -> dict[str, Any]:
    """Return the configuration for a header: of the start its name, not where it lies here."""
    return asdict(config) | {"start": config.start.name if config.start is not None else None}


@torch.no_grad()
def _encoded(model: Sam, batch: BoxBatch) -> ImageFeatures:
    images = batch.images_b3ss.to(model.device, non_blocking=True)
    return model.encode(images).to(dtype=torch.float32)


def _gradients(
    model: Sam,
    detectors: dict[str, ObjectDetector],
    batch: BoxBatch,
    *,
    config: StarterDetectorConfig,
) -> dict[str, float]:
    features = _encoded(model, batch)
    truth = [torch.from_numpy(boxes).to(model.device) for boxes in batch.boxes_xyxy]
    figures = {"loss": 0.0}
    for name, detector in detectors.items():
        parts = add_gradients(
            detector,
            features,
            boxes_xyxy=truth,
            input_hw=batch.valid_hw,
            unknown_weight=config.learning.unknown_weight,
        )
        figures |= {f"{part}_{name}": value for part, value in parts.items()}
        figures["loss"] += parts["loss"]
    return figures


def _calibrate(
    model: Sam, detectors: dict[str, ObjectDetector], batches: Iterable[BoxBatch]
) -> None:
    size_px = model.config.image_size_px
    found: dict[str, list[ImageDetections]] = {name: [] for name in detectors}
    for detector in detectors.values():
        detector.eval()
    for batch in batches:
        features = _encoded(model, batch)
        for index, valid_hw in enumerate(batch.valid_hw):
            if max(valid_hw) < size_px:  # no photo lies in its square like that
                continue
            for name, detector in detectors.items():
                detections = detector.detect(
                    features.image(index),
                    Frame(valid_hw, size_px),
                    score_thresh=EVALUATION_SCORE_THRESH,
                )
                found[name].append(
                    ImageDetections(
                        boxes_xyxy_px=detections.boxes_xyxy_px,
                        scores=detections.scores,
                        truth_xyxy_px=batch.boxes_xyxy[index].astype(np.float64),
                    )
                )
    for name, detector in detectors.items():
        score_thresh = balanced_threshold(found[name], fallback=detector.config.score_thresh)
        detector.config = replace(detector.config, score_thresh=score_thresh)


def _shape(text: str) -> tuple[int, int]:
    width, layers = text.split("x")
    return int(width), int(layers)


def main() -> int:
    """Run the command and return its exit code, as `python -m training` does."""
    return exit_code_of(_run)


def _run() -> None:
    """Read the command line, cache photos and scenes where the starter's run does, train."""
    default = StarterDetectorConfig()
    parser = argparse.ArgumentParser(prog="python -m training.starter.detector")
    parser.add_argument("--data", type=Path, required=True, help="folder of the training sets")
    parser.add_argument("--sam", type=Path, required=True, help="whose encoder it reads")
    parser.add_argument("--out", type=Path, required=True, help="run folder; resumes if it exists")
    parser.add_argument("--cache", type=Path, help="of photos and scenes; default: the run folder")
    parser.add_argument("--steps", type=int, default=default.num_steps)
    parser.add_argument("--batch-images", type=int, default=default.views.batch_images)
    parser.add_argument("--scenes", type=int, default=2000, help="how many scenes to generate")
    parser.add_argument(
        "--shape",
        type=_shape,
        action="append",
        help="WIDTHxLAYERS, as 64x2; once for each detector that learns from the same views",
    )
    parser.add_argument("--start", type=Path, help="detector whose weights to begin with")
    parser.add_argument("--device", default=default.device, help="cpu or cuda")
    parser.add_argument("--loaders", type=int, default=0, help="processes that draw views ahead")
    options = parser.parse_args()
    cache: Path = options.cache or options.out
    pool, _ = cached_pool(options.data, cache, num_scenes=options.scenes, seed=SCENES_SEED).parted()
    config = replace(
        default,
        num_steps=options.steps,
        shapes=tuple(options.shape or default.shapes),
        start=options.start,
        device=options.device,
        loaders=options.loaders,
        views=replace(default.views, batch_images=options.batch_images),
    )
    with ProgressBar() as bar, stop_on_signals() as stop:
        paths = train_starter_detector(
            pool,
            options.sam,
            config,
            options.out,
            on_progress=bar.show,
            should_stop=stop,
        )
    sys.stdout.write("".join(f"{path}\n" for path in paths))


if __name__ == "__main__":
    sys.exit(main())
