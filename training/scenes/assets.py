"""Finds and opens the cut-outs, backgrounds and textures that scenes are made of.

Paths only are kept; pictures are opened when a scene asks for them.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

IMAGE_SUFFIXES = (".png", ".webp", ".jpg", ".jpeg")
CUTOUT_SETS = ("cutouts-train", "synth-cutouts")
BACKGROUND_SETS = ("backgrounds-train", "synth-textures")
UNLABELLED_CLUTTER_PREFIX = "grocery__"
"""Shelves full of unlabelled objects would teach that objects are background."""


@dataclass(frozen=True, slots=True)
class SceneAssets:
    """Paths of the raw material; empty tuples fall back to procedural pictures only."""

    cutouts_by_source: tuple[tuple[Path, ...], ...] = ()
    backgrounds: tuple[Path, ...] = ()
    textures: tuple[Path, ...] = ()

    @classmethod
    def find(cls, data_dir: Path) -> SceneAssets:
        """Look for the known sets under `data_dir`; absent ones are simply not used."""
        sources: list[tuple[Path, ...]] = []
        for name in CUTOUT_SETS:
            root = data_dir / name
            folders = sorted(p for p in root.iterdir() if p.is_dir()) if root.is_dir() else []
            sources += [found for folder in folders if (found := _images_under(folder))]
        backgrounds = _images_under(data_dir / BACKGROUND_SETS[0])
        return cls(
            cutouts_by_source=tuple(sources),
            backgrounds=tuple(
                p for p in backgrounds if not p.name.startswith(UNLABELLED_CLUTTER_PREFIX)
            ),
            textures=_images_under(data_dir / BACKGROUND_SETS[1]),
        )

    def cutout(self, rng: np.random.Generator) -> Image.Image | None:
        """Open a random cut-out as RGBA: its source by square root of size, then uniformly."""
        if not self.cutouts_by_source:
            return None
        weights = np.sqrt([len(source) for source in self.cutouts_by_source])
        source = self.cutouts_by_source[
            int(rng.choice(len(self.cutouts_by_source), p=weights / weights.sum()))
        ]
        return Image.open(source[int(rng.integers(len(source)))]).convert("RGBA")

    def picture(self, rng: np.random.Generator, *, texture: bool) -> Image.Image | None:
        """Open a random texture or photo background as RGB."""
        paths = self.textures if texture else self.backgrounds
        if not paths:
            return None
        return Image.open(paths[int(rng.integers(len(paths)))]).convert("RGB")


def _images_under(folder: Path) -> tuple[Path, ...]:
    if not folder.is_dir():
        return ()
    return tuple(sorted(p for p in folder.rglob("*") if p.suffix.lower() in IMAGE_SUFFIXES))
