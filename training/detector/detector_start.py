"""What a detector's training begins with: random weights, or those of an earlier detector."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch

from sam.detection import object_detector
from sam.detection.object_detector import ObjectDetector
from sam.modeling.model import Sam
from training.loop.run_folder import TrainError


def new_detector(model: Sam, *, width: int, tower_layers: int, seed: int) -> ObjectDetector:
    """Return an untrained detector of the model's features."""
    shape = object_detector.config_for(model)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return ObjectDetector(replace(shape, width=width, tower_layers=tower_layers))


def adopted_detector(model: Sam, path: Path, *, encoder_sha256: str) -> ObjectDetector:
    """Return a detector that reads this model's features, with the weights of a file.

    Of another encoder's detector old weights are a better start than none. Raises TrainError when
    that encoder's features have another shape, CheckpointError when the file cannot be read.
    """
    detector = object_detector.load(path)
    if detector.config.encoder_sha256 == encoder_sha256:
        return detector
    if _reads(detector) != _reads(ObjectDetector(object_detector.config_for(model))):
        raise TrainError(f"{path} reads features of another shape than the given SAM's")
    adopted = ObjectDetector(replace(detector.config, encoder_sha256=encoder_sha256))
    adopted.load_state_dict(detector.state_dict())
    return adopted


def _reads(detector: ObjectDetector) -> tuple[int, int, int]:
    config = detector.config
    return config.image_size_px, config.embed_channels, config.high_res_channels
