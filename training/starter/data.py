"""The training pool of the starter: real photos by source, generated scenes, and their views."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import TypeVar

import numpy as np

from training.data.features import load_rgb
from training.data.manifest import ImageRecord, ManifestError, from_coco
from training.scenes import LabelledImage, SceneAssets, generate_scene
from training.scenes.labelled import pack_layers
from training.starter.views import View, draw_view

PHOTO_SETS = ("photos-train", "photos-train2", "tabletop-train")
_EVERYDAY = (
    "bottles",
    "books",
    "catsdogs",
    "dronecars",
    "feralcats",
    "firetruck",
    "food",
    "fruits",
    "kuih",
    "litter",
    "tabletop",
    "trashbags",
    "wildanimals",
)
SOURCE_WEIGHTS = {"coco2017": 4.0} | dict.fromkeys(_EVERYDAY, 1.5)
"""How much more often than others everyday images are drawn: users bring those first."""
HELD_BACK_EVERY = 10
SCENE_SIZE_PX = 512
INDEX_NAME = "pool.json"
CHUNK = 8  # pictures handed to a process at a time
Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Pool:
    """Files of labelled images: photos by source, and generated scenes."""

    photos_by_source: dict[str, tuple[Path, ...]]
    scenes: tuple[Path, ...]

    def draw(self, rng: np.random.Generator, *, photo_share: float) -> LabelledImage:
        """Open a photo (its source by square root of size and weight) or a scene."""
        if self.photos_by_source and rng.random() < photo_share:
            names = sorted(self.photos_by_source)
            weights = np.sqrt([len(self.photos_by_source[name]) for name in names])
            weights *= [SOURCE_WEIGHTS.get(name, 1.0) for name in names]
            name = names[int(rng.choice(len(names), p=weights / weights.sum()))]
            paths = self.photos_by_source[name]
        else:
            paths = self.scenes
        return LabelledImage.load(paths[int(rng.integers(len(paths)))])

    def save(self, folder: Path) -> None:
        """Write which files of a folder they are; `load` reads it, wherever the folder then is."""
        index = {
            "photos": {
                source: [path.relative_to(folder).as_posix() for path in paths]
                for source, paths in self.photos_by_source.items()
            },
            "scenes": [path.relative_to(folder).as_posix() for path in self.scenes],
        }
        (folder / INDEX_NAME).write_text(json.dumps(index, indent=1), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Pool:
        """Read what `save` wrote. Raises ManifestError when the folder holds no pool."""
        try:
            index = json.loads((folder / INDEX_NAME).read_text(encoding="utf-8"))
            return cls(
                photos_by_source={
                    source: tuple(folder / name for name in names)
                    for source, names in index["photos"].items()
                },
                scenes=tuple(folder / name for name in index["scenes"]),
            )
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise ManifestError(f"{folder} holds no pool of training images: {error}") from None

    def parted(self) -> tuple[Pool, Pool]:
        """Part every tenth photo of each source from what masks are learnt from.

        On those the predicted IoU and thresholds are fitted: on photos that were learnt, masks
        are better than a user gets. Returns (learnt, held back); both have the scenes.
        """
        learnt, held_back = {}, {}
        for source, paths in self.photos_by_source.items():
            learnt[source] = tuple(p for i, p in enumerate(paths) if (i + 1) % HELD_BACK_EVERY)
            held_back[source] = paths[HELD_BACK_EVERY - 1 :: HELD_BACK_EVERY]
        kept = {source: paths for source, paths in held_back.items() if paths}
        return Pool(learnt, self.scenes), Pool(kept, self.scenes)


def cached_pool(data_dir: Path, cache_dir: Path, *, num_scenes: int, seed: int) -> Pool:
    """Store photos and scenes that the cache lacks, and return all of it."""
    return Pool(
        photos_by_source=cache_photos(data_dir, cache_dir / "photos"),
        scenes=cache_scenes(data_dir, cache_dir / "scenes", count=num_scenes, seed=seed),
    )


def cache_photos(data_dir: Path, cache_dir: Path) -> dict[str, tuple[Path, ...]]:
    """Store every training photo with its masks packed; returns the files by source."""
    by_source: dict[str, list[Path]] = defaultdict(list)
    cache_dir.mkdir(parents=True, exist_ok=True)
    missing: list[tuple[ImageRecord, Path]] = []
    for name in PHOTO_SETS:
        if not (data_dir / name).is_dir():
            continue
        for record in from_coco(data_dir / name, split="train").images:
            path = cache_dir / f"{name}-{record.image_id}.npz"
            if not path.exists():
                missing.append((record, path))
            by_source[record.source].append(path)
    on_every_core(_cache_photo, missing)
    return {source: tuple(paths) for source, paths in by_source.items()}


def _cache_photo(wanted: tuple[ImageRecord, Path]) -> None:
    record, path = wanted
    photo = load_rgb(record.image_path)
    layers = pack_layers([mask.rle.decode() for mask in record.masks])
    LabelledImage(image_hwc_u8=photo, layers_lhw=layers).save(path)


def cache_scenes(data_dir: Path, cache_dir: Path, *, count: int, seed: int) -> tuple[Path, ...]:
    """Generate scenes that are not there yet; scene k depends on the seed and k alone."""
    cache_dir.mkdir(parents=True, exist_ok=True)
    paths = [cache_dir / f"scene-{number:06d}.npz" for number in range(count)]
    missing = [(number, path) for number, path in enumerate(paths) if not path.exists()]
    on_every_core(partial(_cache_scene, SceneAssets.find(data_dir), seed), missing)
    return tuple(sorted(cache_dir.glob("scene-*.npz")))


def _cache_scene(assets: SceneAssets, seed: int, wanted: tuple[int, Path]) -> None:
    number, path = wanted
    rng = np.random.default_rng([seed, number])
    generate_scene(rng, assets, size_px=SCENE_SIZE_PX).save(path)


def on_every_core(work: Callable[[Item], None], items: Sequence[Item]) -> None:
    """Do independent pieces of work; what is done when one fails or is stopped stays done."""
    if len(items) < CHUNK:
        for item in items:
            work(item)
        return
    with ProcessPoolExecutor(mp_context=get_context("forkserver")) as processes:
        for _ in processes.map(work, items, chunksize=CHUNK):
            pass


@dataclass(frozen=True)
class ViewSettings:
    """What one batch holds.

    whole_share: views of whole pictures, where large objects are whole; the rest are windows.
    """

    size_px: int = 256
    batch_images: int = 6
    max_masks: int = 10
    photo_share: float = 0.65
    whole_share: float = 0.4


def draw_batch(pool: Pool, settings: ViewSettings, *, rng: np.random.Generator) -> list[View]:
    """Draw a batch of views; pictures whose window shows no mask are drawn again."""
    views: list[View] = []
    while len(views) < settings.batch_images:
        labelled = pool.draw(rng, photo_share=settings.photo_share)
        view = draw_view(
            rng,
            labelled,
            size_px=settings.size_px,
            max_masks=settings.max_masks,
            whole_share=settings.whole_share,
        )
        if view is not None:
            views.append(view)
    return views
