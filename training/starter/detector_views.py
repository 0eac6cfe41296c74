"""Views for training the shipped detector: random windows of photos and scenes, as a manifest.

The encoder under a detector is frozen and its features are kept, so variety is made beforehand.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from masks.rle import Rle
from training.manifest import ImageRecord, MaskRecord, write_manifest
from training.scenes.labelled import JPEG_QUALITY
from training.starter.data import Pool
from training.starter.views import draw_view

ALL_MASKS = 10_000


def write_views(
    pool: Pool, out_dir: Path, *, num: int, size_px: int, photo_share: float, seed: int
) -> Path:
    """Write `num` views and their manifest; returns its path. View k depends on seed and k alone.

    Views that are there already are kept, so a cut-off run goes on where it was.
    """
    out_dir.mkdir(parents=True, exist_ok=True)
    records: list[ImageRecord] = []
    for number in range(num):
        record = _view(
            pool, out_dir, number=number, size_px=size_px, photo_share=photo_share, seed=seed
        )
        if record is not None:
            records.append(record)
    manifest = out_dir / "manifest.jsonl"
    write_manifest(manifest, images=records)
    return manifest


def _view(
    pool: Pool, out_dir: Path, *, number: int, size_px: int, photo_share: float, seed: int
) -> ImageRecord | None:
    rng = np.random.default_rng([seed, number])
    labelled = pool.draw(rng, photo_share=photo_share)
    view = draw_view(rng, labelled, size_px=size_px, max_masks=ALL_MASKS)
    if view is None:
        return None
    height, width = view.valid_hw
    path = out_dir / f"view-{number:05d}.jpg"
    if not path.exists():
        photo = Image.fromarray(view.image_hwc_u8[:height, :width])
        photo.save(path, "JPEG", quality=JPEG_QUALITY)
    masks = (mask[:height, :width] for mask in view.masks_nhw)
    return ImageRecord(
        image_path=path,
        image_id=path.stem,
        image_hw=(height, width),
        side="train",
        source="views",
        features_path=None,
        masks=tuple(
            MaskRecord(mask_id=str(index), rle=Rle.encode(mask))
            for index, mask in enumerate(masks)
            if mask.any()
        ),
    )
