"""Train the one-class object detector on the frozen encoder of a SAM (paper section 4, stage 2).

Files in, files out: a manifest and checkpoints become a run folder with `model.safetensors`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from masks.boxes import xywh_to_xyxy
from sam.checkpoints import checkpoint_files
from sam.coordinates import Frame
from sam.detection import object_detector
from sam.detection.multi_scale import all_detections, detect_multi_scale
from sam.detection.object_detector import ObjectDetector
from sam.modeling.features import ImageFeatures
from training.data.examples import readable_examples
from training.data.features import FeatureStore, load_image
from training.data.manifest import ImageRecord, Manifest, ManifestError, open_dataset
from training.data.sampling import draw_images, image_weights
from training.detector.detector_config import FINE_TUNE_SHARE, DetectorTrainConfig, steps_for
from training.detector.detector_loss import add_gradients
from training.detector.detector_metrics import (
    MAX_BOXES,
    ImageDetections,
    balanced_threshold,
    detection_metrics,
)
from training.detector.detector_start import adopted_detector, new_detector
from training.loop.optimisation import (
    LoopSettings,
    OnProgress,
    ParameterGroup,
    never_stop,
    no_progress,
    run_loop,
)
from training.loop.processes import alone
from training.loop.run_folder import RunFolder, TrainError, file_sha256, open_run

FEATURES_SHARE = 0.3  # of the progress bar
MEASURE_SHARE = 0.1
EVALUATION_SCORE_THRESH = 0.01
CALIBRATION_IMAGES = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectorResult:
    """A finished run. Metrics are held-out: `recall_50_at_100`, `ap_50`, the same two with
    `start_` for a start detector of this encoder, and counts; empty when nothing is held out."""

    checkpoint_path: Path
    metrics: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Example:
    image: ImageRecord
    boxes_xyxy: Tensor  # (M, 4) model px
    input_hw: tuple[int, int]


def train_detector(
    config: DetectorTrainConfig,
    manifest_path: Path,
    sam_checkpoint: Path,
    start_detector: Path | None,
    out_dir: Path,
    *,
    on_progress: OnProgress = no_progress,
    should_stop: Callable[[], bool] = never_stop,
) -> DetectorResult:
    """Train from `start_detector`, or from scratch, and measure both on the held-out split.

    A start detector of another encoder of the same shape lends its weights only: it is not
    measured, for it cannot serve beside this SAM.
    The same call on the same `out_dir` resumes a run that was killed or stopped. Raises
    ManifestError, CheckpointError, TrainError, and TrainStopped after saving the state.
    """
    manifest = open_dataset(Path(manifest_path), split="train")
    train_images = manifest.require_split("train")
    model = checkpoint_files.load(sam_checkpoint)
    store = FeatureStore(model, cache_dir=Path(out_dir) / "features")
    detector = _start(config, start_detector, store=store)
    run = open_run(
        Path(out_dir),
        identity={
            "kind": "detector",
            "config": asdict(config),
            "manifest": manifest.fingerprint,
            "sam_sha256": file_sha256(Path(sam_checkpoint)),
            "start_sha256": None if start_detector is None else file_sha256(Path(start_detector)),
        },
    )

    def on_image(done: int) -> None:
        fraction = FEATURES_SHARE * done / len(train_images)
        on_progress(fraction, f"encoded {done} of {len(train_images)} images")

    readable, problems = readable_examples(
        _examples(train_images, store=store, config=config),
        read=store.get,
        processes=alone("cpu"),
        on_image=on_image,
        should_stop=should_stop,
    )
    problems = [*manifest.problems, *problems]
    if problems:
        run.note_problems(problems)
    _optimise(
        detector,
        config=config,
        examples=readable,
        store=store,
        run=run,
        fine_tune=start_detector is not None,
        on_progress=on_progress,
        should_stop=should_stop,
    )
    _calibrate(detector, manifest=manifest, store=store, config=config)
    metrics = _measure(detector, start_detector, manifest=manifest, store=store, config=config)
    noted = {"metrics": metrics, "num_images": len(train_images), "config": asdict(config)}
    object_detector.save(detector, run.model_path, noted)
    on_progress(1.0, "detector trained", **metrics)
    return DetectorResult(checkpoint_path=run.model_path, metrics=metrics)


def measure_detector(
    detector: ObjectDetector,
    *,
    images: Sequence[ImageRecord],
    store: FeatureStore,
    max_area_share: float,
    multi_scale: bool = False,
    on_image: Callable[[int], object] = lambda done: None,
) -> dict[str, float]:
    """Return `recall_50_at_100`, `ap_50` and counts of a detector on images with masks."""
    return detection_metrics(
        detect_all(
            detector,
            images=images,
            store=store,
            max_area_share=max_area_share,
            multi_scale=multi_scale,
            on_image=on_image,
        )
    )


def detect_all(
    detector: ObjectDetector,
    *,
    images: Sequence[ImageRecord],
    store: FeatureStore,
    max_area_share: float,
    multi_scale: bool = False,
    on_image: Callable[[int], object] = lambda done: None,
) -> list[ImageDetections]:
    """Return what a detector finds in each image, weak boxes too, beside the truth.

    multi_scale: in crops too, while objects are small, as prefilling does.
    Images that cannot be read are left out.
    """
    detector.eval()
    found: list[ImageDetections] = []
    for index, image in enumerate(images, start=1):
        try:
            features = store.get(image)
        except ManifestError:  # an unreadable image must not end hours of training
            continue
        if multi_scale:
            in_crops = detect_multi_scale(
                store.model,
                detector,
                features,
                image_hw=image.image_hw,
                load_image=partial(load_image, image),
                score_thresh=EVALUATION_SCORE_THRESH,
                max_boxes=MAX_BOXES,
            )
            detections = all_detections(in_crops)
        else:
            detections = detector.detect(
                features,
                Frame(image.image_hw, store.model.config.image_size_px),
                score_thresh=EVALUATION_SCORE_THRESH,
                max_boxes=MAX_BOXES,
            )
        found.append(
            ImageDetections(
                boxes_xyxy_px=detections.boxes_xyxy_px,
                scores=detections.scores,
                truth_xyxy_px=truth_boxes(image, max_area_share=max_area_share),
                source=image.source,
            )
        )
        on_image(index)
    return found


def truth_boxes(image: ImageRecord, *, max_area_share: float) -> NDArray[np.float64]:
    """Return the (M, 4) xyxy boxes of an image's masks, without boxes of nearly everything."""
    boxes = np.array([m.rle.bbox_xywh_px for m in image.masks], dtype=np.float64).reshape(-1, 4)
    of_all = xywh_to_xyxy(boxes)
    return of_all[are_objects(of_all, image_hw=image.image_hw, max_area_share=max_area_share)]


def are_objects(
    boxes_xyxy: NDArray[Any], *, image_hw: tuple[int, int], max_area_share: float
) -> NDArray[np.bool_]:
    """Tell which of (M, 4) boxes are of objects: (M,) bool.

    Ground and sky are masks but no objects: a box around all of an image proposes nothing.
    """
    sides = boxes_xyxy[:, 2:] - boxes_xyxy[:, :2]
    fits: NDArray[np.bool_] = sides.prod(axis=1) <= max_area_share * image_hw[0] * image_hw[1]
    return fits


def loop_settings(
    config: DetectorTrainConfig, *, num_steps: int, learning_rate_share: float = 1.0
) -> LoopSettings:
    """Return the optimisation that a configuration asks for."""
    return LoopSettings(
        num_steps=num_steps,
        learning_rate=config.learning_rate * learning_rate_share,
        weight_decay=config.weight_decay,
        warmup_steps=config.warmup_steps,
        clip_norm=config.clip_norm,
        checkpoint_every_steps=config.checkpoint_every_steps,
        seed=config.seed,
    )


def _start(
    config: DetectorTrainConfig, start_detector: Path | None, *, store: FeatureStore
) -> ObjectDetector:
    if start_detector is None:
        return new_detector(
            store.model, width=config.width, tower_layers=config.tower_layers, seed=config.seed
        )
    return adopted_detector(store.model, start_detector, encoder_sha256=store.encoder_sha256)


def _examples(
    images: Sequence[ImageRecord], *, store: FeatureStore, config: DetectorTrainConfig
) -> list[_Example]:
    examples = []
    for image in images:
        frame = Frame(image.image_hw, store.model.config.image_size_px)
        boxes = truth_boxes(image, max_area_share=config.max_area_share)
        scaled = torch.tensor(boxes * np.tile(frame.scale_xy, 2), dtype=torch.float32)
        if len(scaled):
            examples.append(_Example(image=image, boxes_xyxy=scaled, input_hw=frame.input_hw))
    if not examples:
        raise TrainError("every box of the manifest covers nearly its whole image")
    return examples


def _optimise(
    detector: ObjectDetector,
    *,
    config: DetectorTrainConfig,
    examples: Sequence[_Example],
    store: FeatureStore,
    run: RunFolder,
    fine_tune: bool,
    on_progress: OnProgress,
    should_stop: Callable[[], bool],
) -> None:
    weights = image_weights([example.image.source for example in examples])

    def compute_gradients(*, step: int, generator: torch.Generator) -> dict[str, float]:
        places = draw_images(weights, num=config.images_per_step, generator=generator)
        drawn = [examples[place] for place in places]
        return add_gradients(
            detector,
            _batch([store.get(example.image) for example in drawn]),
            boxes_xyxy=[example.boxes_xyxy for example in drawn],
            input_hw=[example.input_hw for example in drawn],
            unknown_weight=config.unknown_weight,
        )

    def on_step(fraction: float, message: str, **figures: float) -> None:
        share = 1.0 - FEATURES_SHARE - MEASURE_SHARE
        on_progress(FEATURES_SHARE + share * fraction, message, **figures)

    detector.train()
    run_loop(
        {"detector": detector},
        groups=[ParameterGroup(parameters=list(detector.parameters()))],
        settings=loop_settings(
            config,
            num_steps=steps_for(len(examples), config=config),
            learning_rate_share=FINE_TUNE_SHARE if fine_tune else 1.0,
        ),
        run=run,
        compute_gradients=compute_gradients,
        on_progress=on_step,
        should_stop=should_stop,
    )
    detector.eval()


def _batch(features: Sequence[ImageFeatures]) -> ImageFeatures:
    high = [one.high_res_features for one in features]
    return ImageFeatures(
        torch.cat([one.image_embeddings for one in features]),
        torch.cat([h for h in high if h is not None]) if high[0] is not None else None,
    )


def _calibrate(
    detector: ObjectDetector,
    *,
    manifest: Manifest,
    store: FeatureStore,
    config: DetectorTrainConfig,
) -> None:
    """Note the balanced score threshold and how large objects are.

    The threshold comes from held-out images, or else from some training ones.
    """
    images = manifest.in_split("holdout") or manifest.in_split("train")[:CALIBRATION_IMAGES]
    found = detect_all(detector, images=images, store=store, max_area_share=config.max_area_share)
    score_thresh = balanced_threshold(found, fallback=detector.config.score_thresh)
    detector.config = replace(
        detector.config,
        score_thresh=score_thresh,
        object_side_px=_typical_side_px(manifest.in_split("train"), config=config),
    )


def _typical_side_px(images: Sequence[ImageRecord], *, config: DetectorTrainConfig) -> float | None:
    """Return the median long side of the objects, in image pixels."""
    if not config.notes_object_size:
        return None
    boxes = [truth_boxes(image, max_area_share=config.max_area_share) for image in images]
    sides_px = np.concatenate([(each[:, 2:] - each[:, :2]).max(axis=1) for each in boxes])
    return float(np.median(sides_px))


def _measure(
    detector: ObjectDetector,
    start_detector: Path | None,
    *,
    manifest: Manifest,
    store: FeatureStore,
    config: DetectorTrainConfig,
) -> dict[str, float]:
    images = manifest.in_split("holdout")
    if not images:
        return {}
    measured = measure_detector(
        detector, images=images, store=store, max_area_share=config.max_area_share
    )
    start_model = None if start_detector is None else object_detector.load(start_detector)
    if start_model is None or start_model.config.encoder_sha256 != store.encoder_sha256:
        return measured
    start = measure_detector(
        start_model,
        images=images,
        store=store,
        max_area_share=config.max_area_share,
    )
    return measured | {f"start_{k}": start[k] for k in ("recall_50_at_100", "ap_50")}
