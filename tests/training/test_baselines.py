"""What needs no model: flood fills from a click, GrabCut from a box."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from training.evaluation.baselines import BaselineError, flood_fills, grabcut
from training.evaluation.sessions import iou


def disc_image() -> tuple[np.ndarray, np.ndarray]:
    ys, xs = np.mgrid[:80, :100]
    mask = np.hypot(xs - 50, ys - 40) < 20
    image = np.random.default_rng(0).normal(40, 4, (80, 100, 3))
    image[mask] += 150
    return image.clip(0, 255).astype(np.uint8), mask


def test_a_flood_fill_takes_what_is_connected_and_of_nearly_the_colour() -> None:
    image = np.zeros((4, 6, 3), dtype=np.uint8)
    image[:, 2] = 255
    image[0, 1] = 12
    image[1, 1] = 30

    small, middle, large = flood_fills(image, (0, 3))

    assert small.sum() == 8 - 2
    assert middle.sum() == 8 - 1
    assert large.sum() == 8
    assert not large[:, 3:].any()  # equal in colour, but behind the line


def test_one_fill_finds_a_disc_on_a_dark_ground() -> None:
    image, mask = disc_image()

    fills = flood_fills(image, (50, 40))

    assert max(iou(mask, fill) for fill in fills) > 0.9


def test_grabcut_finds_a_disc_in_its_box() -> None:
    image, mask = disc_image()

    found = grabcut(image, (31, 21, 70, 60))

    assert iou(mask, found) > 0.95
    assert np.array_equal(found, grabcut(image, (31, 21, 70, 60)))


def test_a_box_of_the_whole_image_stays_filled() -> None:
    image, _ = disc_image()

    assert grabcut(image, (0, 0, 100, 80)).all()


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cv2", None)

    with pytest.raises(BaselineError, match="pip install opencv-python-headless"):
        grabcut(disc_image()[0], (31, 21, 70, 60))
