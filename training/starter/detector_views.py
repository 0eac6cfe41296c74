"""Views for training the shipped detector: random windows of photos and scenes, as a manifest.

The encoder under a detector is frozen and its features are kept, so variety is made beforehand:
`python -m training.starter.detector_views --data DIR --out DIR`, then `python -m training
train-detector --sam CHECKPOINT --data DIR/views/manifest.jsonl --all-sizes --out RUN`.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

from masks.rle import Rle
from training.manifest import ImageRecord, MaskRecord, write_manifest
from training.scenes.labelled import JPEG_QUALITY
from training.starter.data import Pool, cache_photos, cache_scenes
from training.starter.views import draw_view

ALL_MASKS = 10_000
PHOTO_SHARE = 0.6
SEED = 7


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


def main() -> None:
    """Read the command line, cache photos and scenes where the starter's run does, write views."""
    parser = argparse.ArgumentParser(prog="python -m training.starter.detector_views")
    parser.add_argument("--data", type=Path, required=True, help="folder of the training sets")
    parser.add_argument("--out", type=Path, required=True, help="the starter's run folder will do")
    parser.add_argument("--num", type=int, default=1400)
    parser.add_argument("--scenes", type=int, default=2000)
    parser.add_argument("--image-size", type=int, default=512)
    options = parser.parse_args()
    pool = Pool(
        photos_by_source=cache_photos(options.data, options.out / "photos"),
        scenes=cache_scenes(options.data, options.out / "scenes", count=options.scenes, seed=SEED),
    )
    write_views(
        pool,
        options.out / "views",
        num=options.num,
        size_px=options.image_size,
        photo_share=PHOTO_SHARE,
        seed=SEED,
    )


if __name__ == "__main__":
    main()
