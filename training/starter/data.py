"""The training pool of the starter: real photos by source, generated scenes, and their views."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from training.manifest import from_coco
from training.scenes import LabelledImage, SceneAssets, generate_scene
from training.scenes.labelled import pack_layers
from training.starter.views import View, draw_view

PHOTO_SETS = ("photos-train", "tabletop-train")
SCENE_SIZE_PX = 512


@dataclass(frozen=True, slots=True)
class Pool:
    """Files of labelled images: photos by source, and generated scenes."""

    photos_by_source: dict[str, tuple[Path, ...]]
    scenes: tuple[Path, ...]

    def draw(self, rng: np.random.Generator, *, photo_share: float) -> LabelledImage:
        """Open a photo (its source by square root of size) or a scene."""
        if self.photos_by_source and rng.random() < photo_share:
            names = sorted(self.photos_by_source)
            weights = np.sqrt([len(self.photos_by_source[name]) for name in names])
            name = names[int(rng.choice(len(names), p=weights / weights.sum()))]
            paths = self.photos_by_source[name]
        else:
            paths = self.scenes
        return LabelledImage.load(paths[int(rng.integers(len(paths)))])


def cache_photos(data_dir: Path, cache_dir: Path) -> dict[str, tuple[Path, ...]]:
    """Store every training photo with its masks packed; returns the files by source."""
    by_source: dict[str, list[Path]] = defaultdict(list)
    cache_dir.mkdir(parents=True, exist_ok=True)
    for name in PHOTO_SETS:
        if not (data_dir / name).is_dir():
            continue
        for record in from_coco(data_dir / name, side="train").images:
            path = cache_dir / f"{name}-{record.image_id}.npz"
            if not path.exists():
                photo = np.asarray(Image.open(record.image_path).convert("RGB"))
                layers = pack_layers([mask.rle.decode() for mask in record.masks])
                LabelledImage(image_hwc_u8=photo, layers_lhw=layers).save(path)
            by_source[record.source].append(path)
    return {source: tuple(paths) for source, paths in by_source.items()}


def cache_scenes(data_dir: Path, cache_dir: Path, *, count: int, seed: int) -> tuple[Path, ...]:
    """Generate scenes that are not there yet; scene k depends on the seed and k alone."""
    assets = SceneAssets.find(data_dir)
    cache_dir.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        path = cache_dir / f"scene-{number:06d}.npz"
        if not path.exists():
            rng = np.random.default_rng([seed, number])
            generate_scene(rng, assets, size_px=SCENE_SIZE_PX).save(path)
    return tuple(sorted(cache_dir.glob("scene-*.npz")))


@dataclass(frozen=True)
class ViewSettings:
    """What one batch holds."""

    size_px: int = 256
    batch_images: int = 6
    max_masks: int = 10
    photo_share: float = 0.48


def draw_batch(pool: Pool, settings: ViewSettings, *, rng: np.random.Generator) -> list[View]:
    """Draw a batch of views; pictures whose window shows no mask are drawn again."""
    views: list[View] = []
    while len(views) < settings.batch_images:
        labelled = pool.draw(rng, photo_share=settings.photo_share)
        view = draw_view(rng, labelled, size_px=settings.size_px, max_masks=settings.max_masks)
        if view is not None:
            views.append(view)
    return views
