"""Trains the shipped detector on views drawn as it goes: no two steps see the same pictures.

`python -m training.starter.detector --data DIR --sam CHECKPOINT --out RUN`. The encoder stays
frozen. Where features are cached instead (`training.train_detector`), variety ends with the cache.
"""

from __future__ import annotations

import argparse
import copy
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from sam import checkpoints, object_detector
from sam.coordinates import Frame
from sam.features import ImageFeatures
from sam.model import Sam
from sam.object_detector import ObjectDetector
from training.detector_config import DetectorTrainConfig
from training.detector_loss import assign_targets, detection_loss, flatten_levels
from training.detector_metrics import ImageDetections, balanced_threshold
from training.loop import LoopSettings, ParameterGroup, run_loop
from training.precision import step_autocast
from training.run_folder import file_sha256, open_run
from training.starter.batches import images_of, in_order
from training.starter.data import Pool, ViewSettings, cache_photos, cache_scenes, draw_batch
from training.starter.views import View
from training.stopping import stop_on_signals
from training.train_detector import EVALUATION_SCORE_THRESH

Floats = NDArray[np.float32]
ALL_MASKS = 10_000
CALIBRATION_BATCHES = 12
SCENES_SEED = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class StarterDetectorConfig:
    """The recipe's numbers.

    shapes: width and tower layers of each detector; several learn side by side from the same
    views, so that their figures can be compared.
    loaders: processes that draw views ahead; they change no view.
    """

    num_steps: int = 1200
    seed: int = 7
    shapes: tuple[tuple[int, int], ...] = ((64, 2),)
    device: str = "cpu"
    loaders: int = 0
    views: ViewSettings = field(
        default_factory=lambda: ViewSettings(
            size_px=512, batch_images=8, max_masks=ALL_MASKS, photo_share=0.6
        )
    )
    learning: DetectorTrainConfig = field(
        default_factory=lambda: DetectorTrainConfig(notes_object_size=False)
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
    boxes = []
    for mask in view.masks_nhw:
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        if len(rows):
            boxes.append((columns[0], rows[0], columns[-1] + 1, rows[-1] + 1))
    xyxy = np.array(boxes, dtype=np.float32).reshape(-1, 4)
    limit_px = max_area_share * view.valid_hw[0] * view.valid_hw[1]
    kept: Floats = xyxy[(xyxy[:, 2:] - xyxy[:, :2]).prod(axis=1) <= limit_px]
    return kept


def train_starter_detector(
    pool: Pool,
    sam_checkpoint: Path,
    config: StarterDetectorConfig,
    out_dir: Path,
    *,
    on_progress: Callable[..., object],
    should_stop: Callable[[], bool],
) -> list[Path]:
    """Train one detector a shape; returns their files. The same call resumes a stopped run."""
    run = open_run(
        out_dir,
        identity={
            "kind": "starter detector",
            "config": asdict(config),
            "sam_sha256": file_sha256(sam_checkpoint),
        },
    )
    model = checkpoints.load(sam_checkpoint)
    preparing = copy.deepcopy(model)  # loading processes must not touch a GPU
    model = model.to(config.device).eval().requires_grad_(False)
    detectors = {
        f"{width}x{layers}": _new_detector(preparing, config, width=width, layers=layers)
        for width, layers in config.shapes
    }
    drawn = BoxBatches(
        model=preparing,
        pool=pool,
        views=config.views,
        seed=config.seed,
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
        settings=LoopSettings(
            num_steps=config.num_steps,
            learning_rate=config.learning.learning_rate,
            weight_decay=config.learning.weight_decay,
            warmup_steps=config.learning.warmup_steps,
            clip_norm=config.learning.clip_norm,
            checkpoint_every_steps=config.learning.checkpoint_every_steps,
            seed=config.seed,
        ),
        run=run,
        compute_gradients=compute_gradients,
        on_progress=on_progress,
        should_stop=should_stop,
    )
    further = range(config.num_steps, config.num_steps + CALIBRATION_BATCHES)
    fresh = list(in_order(drawn, further, loaders=config.loaders))
    paths = []
    for name, detector in detectors.items():
        _calibrate(model, detector.eval(), fresh)
        paths.append(out_dir / f"detector-{name}.safetensors")
        object_detector.save(detector, paths[-1], {"config": asdict(config)})
    return paths


def _new_detector(
    model: Sam, config: StarterDetectorConfig, *, width: int, layers: int
) -> ObjectDetector:
    torch.manual_seed(config.seed)
    shape = replace(object_detector.config_for(model), width=width, tower_layers=layers)
    return ObjectDetector(shape).to(config.device).train()


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
    targets = None
    for name, detector in detectors.items():
        with step_autocast(model.device):
            levels = detector(features)
        output = flatten_levels(levels)
        if targets is None:  # positions are the same for every detector
            targets = [
                assign_targets(
                    output,
                    boxes_xyxy=boxes,
                    input_hw=valid_hw,
                    unknown_weight=config.learning.unknown_weight,
                )
                for boxes, valid_hw in zip(truth, batch.valid_hw, strict=True)
            ]
        parts = detection_loss(output, targets=targets, boxes_xyxy=truth)
        parts["loss"].backward()  # type: ignore[no-untyped-call]
        figures |= {f"{part}_{name}": value.item() for part, value in parts.items()}
        figures["loss"] += figures[f"loss_{name}"]
    return figures


def _calibrate(model: Sam, detector: ObjectDetector, batches: Sequence[BoxBatch]) -> None:
    size_px = model.config.image_size_px
    found = []
    for batch in batches:
        features = _encoded(model, batch)
        for index, valid_hw in enumerate(batch.valid_hw):
            if max(valid_hw) < size_px:  # no photo lies in its square like that
                continue
            detections = detector.detect(
                features.image(index),
                Frame(valid_hw, size_px),
                score_thresh=EVALUATION_SCORE_THRESH,
            )
            found.append(
                ImageDetections(
                    boxes_xyxy_px=detections.boxes_xyxy_px,
                    scores=detections.scores,
                    truth_xyxy_px=batch.boxes_xyxy[index].astype(np.float64),
                )
            )
    score_thresh = balanced_threshold(found, fallback=detector.config.score_thresh)
    detector.config = replace(detector.config, score_thresh=score_thresh)


def _shape(text: str) -> tuple[int, int]:
    width, layers = text.split("x")
    return int(width), int(layers)


def main() -> None:
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
    parser.add_argument("--device", default=default.device, help="cpu or cuda")
    parser.add_argument("--loaders", type=int, default=0, help="processes that draw views ahead")
    options = parser.parse_args()
    cache: Path = options.cache or options.out
    pool = Pool(
        photos_by_source=cache_photos(options.data, cache / "photos"),
        scenes=cache_scenes(options.data, cache / "scenes", count=options.scenes, seed=SCENES_SEED),
    )
    config = replace(
        default,
        num_steps=options.steps,
        shapes=tuple(options.shape or default.shapes),
        device=options.device,
        loaders=options.loaders,
        views=replace(default.views, batch_images=options.batch_images),
    )
    with tqdm(total=config.num_steps, unit="step") as bar, stop_on_signals() as stop:
        paths = train_starter_detector(
            pool,
            options.sam,
            config,
            options.out,
            on_progress=partial(_show, bar),
            should_stop=stop,
        )
    sys.stdout.write("".join(f"{path}\n" for path in paths))


def _show(bar: tqdm[Any], fraction: float, message: str, **figures: float) -> None:
    bar.update(int(figures["step"]) - bar.n)
    bar.set_description_str(message, refresh=False)


if __name__ == "__main__":
    main()
