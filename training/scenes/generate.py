"""Draws one complete scene of a random kind."""

from __future__ import annotations

import numpy as np

from training.scenes.assets import SceneAssets
from training.scenes.fields import array_scene, cell_scene, grain_scene
from training.scenes.labelled import LabelledImage
from training.scenes.objects import object_scene
from training.scenes.photometric import photograph

KIND_SHARES = {"objects": 0.46, "grains": 0.16, "cells": 0.30, "arrays": 0.08}


def generate_scene(
    rng: np.random.Generator, assets: SceneAssets, *, size_px: int = 512
) -> LabelledImage:
    """Generate a scene with exact masks; the same generator state gives the same scene."""
    kinds = tuple(KIND_SHARES)
    kind = kinds[int(rng.choice(len(kinds), p=tuple(KIND_SHARES.values())))]
    if kind == "objects":
        rgb, layers = object_scene(rng, assets, size_px=size_px)
    elif kind == "grains":
        rgb, layers = grain_scene(rng, assets, size_px=size_px)
    elif kind == "cells":
        rgb, layers = cell_scene(rng, size_px=size_px)
    else:
        rgb, layers = array_scene(rng, assets, size_px=size_px)
    return LabelledImage(image_hwc_u8=photograph(rng, rgb), layers_lhw=layers)
