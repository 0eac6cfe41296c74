"""A tiny labelled set for tests: bright rectangles and discs on a dark, noisy ground."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from masks.rle import Rle
from training.data.manifest import ImageRecord, MaskRecord, write_manifest


def blob_image(*, seed: int, side_px: int = 128) -> tuple[np.ndarray, list[np.ndarray]]:
    """Draw an image (H, W, 3) with three blobs and return their masks."""
    rng = np.random.default_rng(seed)
    image = rng.normal(60, 8, (side_px, side_px, 3))
    ys, xs = np.mgrid[:side_px, :side_px]
    masks: list[np.ndarray] = []
    while len(masks) < 3:
        cx, cy = rng.uniform(20, side_px - 20, 2)
        rx, ry = rng.uniform(7, 18, 2)
        offset_x, offset_y = (xs - cx) / rx, (ys - cy) / ry
        square = rng.random() < 0.5
        size = np.maximum(abs(offset_x), abs(offset_y)) if square else np.hypot(offset_x, offset_y)
        mask = size <= 1
        if any((mask & other).any() for other in masks):
            continue
        image[mask] += rng.uniform(70, 150, 3)
        masks.append(mask)
    return image.clip(0, 255).astype(np.uint8), masks


def write_blobs(folder: Path, *, num_train: int, num_holdout: int = 0) -> Path:
    """Write images and a manifest; returns the manifest's path."""
    folder.mkdir(parents=True, exist_ok=True)
    records = []
    for index in range(num_train + num_holdout):
        image, masks = blob_image(seed=index)
        path = folder / f"blob-{index}.png"
        Image.fromarray(image).save(path)
        records.append(
            ImageRecord(
                image_path=path,
                image_id=f"blob-{index}",
                image_hw=image.shape[:2],
                split="train" if index < num_train else "holdout",
                source="even" if index % 2 == 0 else "odd",
                features_path=None,
                masks=tuple(
                    MaskRecord(mask_id=f"{index}-{i}", rle=Rle.encode(m))
                    for i, m in enumerate(masks)
                ),
            )
        )
    manifest = folder / "manifest.jsonl"
    write_manifest(manifest, images=records)
    return manifest
