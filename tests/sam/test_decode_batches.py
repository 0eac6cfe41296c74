"""Decoding prompts together, one by one, or from stored features gives the same masks."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from sam.checkpoints.embedding_files import from_bytes, to_bytes
from sam.modeling.features import ImageFeatures
from sam.modeling.model import Prompts, Sam, build
from sam.prompting.predictor import Predictor
from sam.prompts import Decoded

MODELS = {name: build(name, seed=1).eval() for name in ("tiny", "tiny_vit")}
SIZE = 128
TOLERANCE = 1e-4


def features_of(model: Sam) -> ImageFeatures:
    image = torch.randn(1, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(5))
    with torch.inference_mode():
        return model.encode(image)


FEATURES = {name: features_of(model) for name, model in MODELS.items()}
inside = st.floats(0, SIZE, width=32)
labels = st.sampled_from([0, 1])


@st.composite
def prompt_sets(draw: st.DrawFn, num_points: int, *, with_box: bool, with_mask: bool) -> Prompts:
    """Draw one prompt set."""
    points = box = mask = marks = None
    if num_points:
        drawn = [[draw(inside), draw(inside)] for _ in range(num_points)]
        points = torch.tensor([drawn])
        marks = torch.tensor([[draw(labels) for _ in range(num_points)]])
    if with_box:
        x0, y0 = draw(st.floats(0, 100, width=32)), draw(st.floats(0, 100, width=32))
        w, h = draw(st.floats(1, 28, width=32)), draw(st.floats(1, 28, width=32))
        box = torch.tensor([[x0, y0, x0 + w, y0 + h]])
    if with_mask:
        generator = torch.Generator().manual_seed(draw(st.integers(0, 99)))
        mask = 5 * torch.randn(1, 1, SIZE // 4, SIZE // 4, generator=generator)
    return Prompts.make(points, marks, box, mask)


@st.composite
def batches(draw: st.DrawFn) -> list[Prompts]:
    """Draw up to nine prompt sets with equally many tokens; any of them may bring a mask."""
    num_points = draw(st.integers(0, 3))
    with_box = num_points == 0 or draw(st.booleans())
    return [
        draw(prompt_sets(num_points, with_box=with_box, with_mask=draw(st.booleans())))
        for _ in range(draw(st.integers(1, 9)))
    ]


@pytest.mark.parametrize("name", MODELS)
@settings(max_examples=30, deadline=None)
@given(parts=batches())
@torch.inference_mode()
def test_a_batch_decodes_as_its_prompts_do_one_by_one(name: str, parts: list[Prompts]) -> None:
    model, features = MODELS[name], FEATURES[name]

    together = model.decode(features, Prompts.concat(parts))
    alone = [model.decode(features, part) for part in parts]

    expected = Decoded(
        torch.cat([one.low_res_logits for one in alone]),
        torch.cat([one.predicted_iou for one in alone]),
    )
    assert_close(together.low_res_logits, expected.low_res_logits)
    assert_close(together.predicted_iou, expected.predicted_iou)


@pytest.mark.parametrize("name", MODELS)
@settings(max_examples=15, deadline=None)
@given(parts=batches(), seed=st.integers(0, 99))
@torch.inference_mode()
def test_prompts_on_images_of_their_own_decode_as_they_do_one_by_one(
    name: str, parts: list[Prompts], seed: int
) -> None:
    model = MODELS[name]
    generator = torch.Generator().manual_seed(seed)
    features = model.encode(torch.randn(2, 3, SIZE, SIZE, generator=generator))
    image_of = torch.randint(2, (len(parts),), generator=generator)

    together = model.decode(features.images(image_of), Prompts.concat(parts))

    for row, part in enumerate(parts):
        alone = model.decode(features.image(int(image_of[row])), part)
        assert_close(together.low_res_logits[row : row + 1], alone.low_res_logits)
        assert_close(together.predicted_iou[row : row + 1], alone.predicted_iou)


def assert_close(found: Tensor, expected: Tensor) -> None:
    assert torch.isfinite(expected).all()
    torch.testing.assert_close(found, expected, atol=TOLERANCE, rtol=1e-5)


@pytest.mark.parametrize("name", MODELS)
def test_features_stored_in_half_precision_give_nearly_the_same_masks(
    name: str, image_rgb: np.ndarray
) -> None:
    fresh, restored = Predictor(MODELS[name]), Predictor(MODELS[name])
    fresh.set_image(image_rgb)
    stored = to_bytes(fresh.features, encoder_sha256="0" * 64)
    restored.set_features(from_bytes(stored), image_rgb.shape[:2])

    for prompt in (
        {"point_coords": [[90.0, 40.0]], "point_labels": [1]},
        {"box": [10.0, 20.0, 25.0, 70.0]},
    ):
        expected, found = fresh.predict(**prompt), restored.predict(**prompt)
        assert (expected.masks_nhw == found.masks_nhw).mean() > 0.98
        assert np.abs(expected.low_res_logits - found.low_res_logits).max() < 0.02
        assert np.abs(expected.predicted_iou - found.predicted_iou).max() < 0.02


@pytest.mark.parametrize("name", MODELS)
def test_boxes_answered_together_are_those_answered_in_two_steps_each(
    name: str, image_rgb: np.ndarray
) -> None:
    boxes = [[10.0, 20.0, 25.0, 70.0], [68.0, 18.0, 112.5, 62.0], [0.0, 0.0, 130.0, 90.0]]
    predictor = Predictor(MODELS[name])
    predictor.set_image(image_rgb)

    together = predictor.predict_boxes(boxes, boxes_per_batch=2)

    for row, box in enumerate(boxes):
        first = predictor.predict(box=box)
        best = first.low_res_logits[first.predicted_iou.argmax()]
        second = predictor.predict(box=box, mask_input=best, multimask_output=False)
        assert np.abs(together.low_res_logits[row] - second.low_res_logits[0]).max() <= TOLERANCE
        assert abs(together.predicted_iou[row] - second.predicted_iou[0]) <= TOLERANCE
        assert (together.masks_nhw[row] == second.masks_nhw[0]).mean() > 0.999
