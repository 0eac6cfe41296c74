"""A tiny starter model and detector, to test the machinery around models."""

from __future__ import annotations

import atexit
import json
import shutil
import tempfile
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import torch

from masks.rle import Rle
from sam.checkpoints import checkpoint_files
from sam.detection import object_detector
from sam.detection.object_detector import ObjectDetector
from sam.export.onnx_decoder import export_decoder
from sam.modeling.model import build
from tests.workers.disc_images import disc_image
from training.finetuning.train import train
from training.loop.config import InteractiveConfig, TrainConfig

# So small a model is sure of nothing: keep all its masks, so that there are masks to count.
KEEP_EVERYTHING = {"pred_iou_thresh": -100.0, "stability_thresh": 0.0}
NUM_STEPS = 60


@cache
def shared_starter() -> Path:
    """Return the starter folder of this test run, made at the first call."""
    folder = Path(tempfile.mkdtemp(prefix="segloop-tiny-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return write_starter(folder)


def write_starter(folder: Path) -> Path:
    """Write a `tiny` starter trained on a few discs, and an untrained detector.

    Takes some seconds: a model with random weights draws masks of all or nothing.
    """
    model = checkpoint_files.load(_train_on_discs(folder / "training"))
    metadata: dict[str, Any] = {
        "encoder_sha256": checkpoint_files.encoder_sha256(model),
        "automatic": {**KEEP_EVERYTHING, "points_per_side": 6},
    }
    checkpoint_files.save(model, folder / "starter.safetensors", metadata)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        detector = ObjectDetector(object_detector.config_for(model))
    torch.nn.init.constant_(detector.score_head.bias, 1.0)  # sees objects everywhere
    object_detector.save(detector, folder / "detector.safetensors")
    return folder


def recommend_points(folder: Path, *, starter: Path, points_per_side: int) -> Path:
    """Copy a starter folder, with another grid for automatic masks: more points take longer."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(starter / "detector.safetensors", folder)
    header = checkpoint_files.read_header(starter / "starter.safetensors")
    metadata = dict(header.metadata)
    metadata["automatic"] = {**metadata["automatic"], "points_per_side": points_per_side}
    model = checkpoint_files.load(starter / "starter.safetensors")
    checkpoint_files.save(model, folder / "starter.safetensors", metadata)
    return folder


@torch.no_grad()
def with_another_encoder(folder: Path, *, starter: Path, noise: float) -> Path:
    """Write a whole starter, decoder.onnx too, whose encoder is the other's with noise added.

    noise: as a share of the weights' mean size; with 1 it sees next to nothing.
    """
    folder.mkdir(parents=True, exist_ok=True)
    model = checkpoint_files.load(starter / "starter.safetensors")
    random = torch.Generator().manual_seed(0)
    for parameter in model.image_encoder.parameters():
        size = noise * parameter.abs().mean()
        parameter.add_(size * torch.randn(parameter.shape, generator=random))
    metadata = dict(checkpoint_files.read_header(starter / "starter.safetensors").metadata)
    metadata["encoder_sha256"] = checkpoint_files.encoder_sha256(model)
    checkpoint_files.save(model, folder / "starter.safetensors", metadata)
    export_decoder(model, folder / "decoder.onnx")
    detector = object_detector.load(starter / "detector.safetensors")
    reads_it = ObjectDetector(replace(detector.config, encoder_sha256=metadata["encoder_sha256"]))
    reads_it.load_state_dict(detector.state_dict())
    object_detector.save(reads_it, folder / "detector.safetensors")
    return folder


def _train_on_discs(folder: Path) -> Path:
    folder.mkdir(parents=True)
    checkpoint_files.save(build("tiny", seed=0), folder / "start.safetensors")
    lines = []
    for seed in range(1000, 1006):
        data, masks = disc_image(seed)
        path = folder / f"{seed}.png"
        path.write_bytes(data)
        found = [
            {"id": f"{seed}-{place}", "rle": Rle.encode(mask).to_coco()}
            for place, mask in enumerate(masks)
        ]
        record = {"image": str(path), "image_id": str(seed), "split": "train", "masks": found}
        lines.append(json.dumps(record) + "\n")
    manifest = folder / "manifest.jsonl"
    manifest.write_text("".join(lines))
    config = TrainConfig(
        trainable="all",
        num_steps=NUM_STEPS,
        images_per_step=2,
        learning_rate=3e-3,
        encoder_learning_rate_share=1.0,
        start_share=0.0,  # what it starts from is random
        clip_norm=1.0,
        interactive=InteractiveConfig(num_corrections=1, mask_only_passes=0),
    )
    return train(config, manifest, folder / "start.safetensors", folder / "run").checkpoint_path
