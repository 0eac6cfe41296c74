"""Crops are looked at while objects are small; a stand-in sees squares that are large enough."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from sam.coordinates import Frame
from sam.detection.multi_scale import CropDetections, all_detections, detect_multi_scale
from sam.detection.object_detector import Detections, ObjectDetector
from sam.modeling.features import ImageFeatures
from sam.modeling.model import Sam

SIDE_PX = 512
LEAST_SEEN_PX = 8
"""Of the model's pixels; smaller objects are invisible to the stand-in."""


class Model:
    """Its features are the pixels."""

    def __init__(self) -> None:
        self.num_encoded = 0
        self.num_loaded = 0

    def preprocess(self, pixels: NDArray[np.uint8]) -> torch.Tensor:
        return torch.from_numpy(pixels)

    def encode(self, pixels: torch.Tensor) -> ImageFeatures:
        self.num_encoded += 1
        return ImageFeatures(pixels, None)


class Detector:
    def __init__(self, object_side_px: float | None = None) -> None:
        self.config = SimpleNamespace(
            image_size_px=SIDE_PX, score_thresh=0.5, object_side_px=object_side_px
        )

    def detect(self, features: ImageFeatures, frame: Frame, **settings: Any) -> Detections:
        pixels = features.image_embeddings.numpy()[..., 0]
        assert pixels.shape == frame.image_hw
        boxes = []
        for value in np.unique(pixels[pixels > 0]):
            ys, xs = np.nonzero(pixels == value)
            box = [xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]
            if max(box[2] - box[0], box[3] - box[1]) * frame.scale_xy[0] >= LEAST_SEEN_PX:
                boxes.append(box)
        found = np.array(boxes, dtype=float).reshape(-1, 4)
        # What is cut by a border of the crop is seen as surely as what is whole.
        return Detections(found, np.full(len(found), 0.9))


def image_of(squares: list[tuple[int, int, int]]) -> NDArray[np.uint8]:
    """Draw squares (x, y, side), each in its own grey."""
    image = np.zeros((SIDE_PX, SIDE_PX, 3), dtype=np.uint8)
    for number, (x, y, side) in enumerate(squares, start=1):
        image[y : y + side, x : x + side] = number
    return image


def look(
    squares: list[tuple[int, int, int]], *, object_side_px: float | None = None
) -> tuple[list[CropDetections], Model]:
    model = Model()
    return look_at(model, image_of(squares), object_side_px=object_side_px), model


def look_at(
    model: Model,
    image: NDArray[np.uint8],
    *,
    object_side_px: float | None = None,
    on_crop: Callable[[int], object] = lambda looked_at: None,
) -> list[CropDetections]:
    def load_image() -> NDArray[np.uint8]:
        model.num_loaded += 1
        return image

    return detect_multi_scale(
        cast(Sam, model),
        cast(ObjectDetector, Detector(object_side_px)),
        ImageFeatures(torch.from_numpy(image), None),
        image_hw=(image.shape[0], image.shape[1]),
        load_image=load_image,
        on_crop=on_crop,
    )


def boxes_of(squares: list[tuple[int, int, int]]) -> set[tuple[float, ...]]:
    return {(x, y, x + side, y + side) for x, y, side in squares}


def test_the_closest_crops_are_looked_at_only_by_who_knows_that_objects_are_that_small() -> None:
    specks = [(x, y, 2) for x in range(3, 500, 71) for y in range(7, 500, 83)]  # invisible before

    seen, model = look(specks)
    seen_by_who_knows, _ = look(specks, object_side_px=2)

    assert len(all_detections(seen).boxes_xyxy_px) == 0
    assert model.num_encoded == 4 + 16
    found = all_detections(seen_by_who_knows).boxes_xyxy_px
    assert set(map(tuple, found)) == boxes_of(specks)


def test_large_objects_are_found_in_the_whole_image_alone() -> None:
    squares = [(10, 10, 120), (200, 300, 90)]

    seen, model = look(squares)

    assert [one.crop.layer for one in seen] == [0]
    assert set(map(tuple, all_detections(seen).boxes_xyxy_px)) == boxes_of(squares)
    assert model.num_encoded == 0
    assert model.num_loaded == 0


@pytest.mark.parametrize(("side_px", "layers"), [(12, {0}), (6, {1}), (4, {2})])
def test_small_objects_are_found_whole_and_once_wherever_they_lie(
    side_px: int, layers: set[int]
) -> None:
    squares = [(x, y, side_px) for x in range(3, 500, 71) for y in range(7, 500, 83)]

    seen, _ = look(squares)

    found = all_detections(seen).boxes_xyxy_px
    assert len(found) == len(squares)
    assert set(map(tuple, found)) == boxes_of(squares)
    assert layers <= {one.crop.layer for one in seen}
    for one in seen:
        assert (one.boxes_xyxy_px >= 0).all()
        limit = [one.crop.width_px, one.crop.height_px] * 2
        assert (one.boxes_xyxy_px <= limit).all()


SMALL_AND_LARGE = [(3, 7, 4), (190, 40, 4), (30, 60, 100), (350, 330, 90)]
"""In the whole image the two large ones alone are seen, and are not small."""


def test_small_objects_beside_large_things_are_missed_by_who_does_not_know_their_size() -> None:
    seen, model = look(SMALL_AND_LARGE)

    assert len(all_detections(seen).boxes_xyxy_px) == 2
    assert model.num_encoded == 0


@pytest.mark.parametrize(
    ("object_side_px", "num_encoded"), [(4, 84), (16, 20), (24, 4), (32, 0), (200, 0)]
)
def test_a_detector_of_small_objects_looks_until_they_would_be_large_enough(
    object_side_px: float, num_encoded: int
) -> None:
    seen, model = look(SMALL_AND_LARGE, object_side_px=object_side_px)

    assert model.num_encoded == num_encoded
    found = set(map(tuple, all_detections(seen).boxes_xyxy_px))
    assert (boxes_of(SMALL_AND_LARGE[:2]) <= found) == (object_side_px <= 16)


def test_each_crop_is_told_of_as_it_is_looked_at() -> None:
    counts: list[int] = []

    look_at(Model(), image_of(SMALL_AND_LARGE), object_side_px=24, on_crop=counts.append)

    assert counts == [1, 2, 3, 4, 5]


def test_an_image_of_nothing_is_looked_at_closely_and_holds_nothing() -> None:
    seen, model = look([])

    assert seen == []
    assert all_detections(seen).boxes_xyxy_px.shape == (0, 4)
    assert model.num_encoded == 4 + 16
    assert model.num_loaded == 1


def test_an_image_too_small_to_cut_is_looked_at_as_it_is() -> None:
    model = Model()

    seen = look_at(model, np.zeros((60, 80, 3), dtype=np.uint8))

    assert seen == []
    assert model.num_encoded == 0
