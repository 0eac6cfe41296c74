from __future__ import annotations

import numpy as np
import pytest

from sam.modeling.model import Sam, build
from sam.prompting.predictor import Predictor


@pytest.fixture(scope="session", params=["tiny", "tiny_vit"])
def model(request: pytest.FixtureRequest) -> Sam:
    return build(request.param, seed=1).eval()


@pytest.fixture(scope="session")
def image_rgb() -> np.ndarray:
    """A dark bar and a bright disc on noise, 90 x 130 px."""
    random = np.random.default_rng(2)
    pixels = random.integers(90, 140, (90, 130, 3), dtype=np.uint8)
    y, x = np.mgrid[:90, :130]
    pixels[np.hypot(x - 90, y - 40) < 22] = (240, 220, 60)
    pixels[20:70, 10:25] = (15, 20, 60)
    return pixels


@pytest.fixture
def predictor(model: Sam, image_rgb: np.ndarray) -> Predictor:
    predictor = Predictor(model)
    predictor.set_image(image_rgb)
    return predictor
