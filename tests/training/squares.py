"""A pool of two images that the starter's recipe can train on in a test."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from training.scenes import LabelledImage
from training.starter.data import Pool


def squares_pool(folder: Path) -> Pool:
    """Two images, each a bright square on a dark ground, one of them an image."""
    paths = []
    for number, shade in enumerate((60, 20)):
        image = np.full((64, 64, 3), shade, np.uint8)
        image[16:48, 8:40] = 220
        layers = np.zeros((1, 64, 64), np.int16)
        layers[0, 16:48, 8:40] = 1
        path = folder / f"image-{number}.npz"
        LabelledImage(image, layers).save(path)
        paths.append(path)
    return Pool(photos_by_source={"squares": (paths[0],)}, scenes=(paths[1],))
