"""Synthetic training scenes with exact masks, and the labelled-image type they share with photos.

Everything here is numpy, SciPy and Pillow; randomness always comes in as a numpy Generator.
"""

from __future__ import annotations

from training.scenes.assets import SceneAssets
from training.scenes.generate import generate_scene
from training.scenes.labelled import LabelledImage

__all__ = ["LabelledImage", "SceneAssets", "generate_scene"]
