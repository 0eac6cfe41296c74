from __future__ import annotations

import numpy as np
import pytest
import torch

from sam.model import ImageError, PromptError, Sam
from sam.predictor import NoImageError, Predictor


@pytest.fixture
def predictor(model: Sam, photo: np.ndarray) -> Predictor:
    predictor = Predictor(model)
    predictor.set_image(photo)
    return predictor


def test_a_click_gives_three_masks_of_the_photo_s_size(predictor: Predictor) -> None:
    prediction = predictor.predict(point_coords=[[90, 40]], point_labels=[1])

    assert prediction.masks_nhw.shape == (3, 90, 130)
    assert prediction.masks_nhw.dtype == np.bool_
    assert prediction.predicted_iou.shape == (3,)
    assert prediction.low_res_logits.shape == (3, 32, 32)


def test_the_single_mask_is_another_than_the_three(predictor: Predictor) -> None:
    three = predictor.predict(point_coords=[[90, 40]], point_labels=[1])
    one = predictor.predict(point_coords=[[90, 40]], point_labels=[1], multimask_output=False)

    assert one.masks_nhw.shape == (1, 90, 130)
    assert not any(np.array_equal(one.low_res_logits[0], row) for row in three.low_res_logits)


def test_the_papers_rule_picks_the_best_of_three_for_a_click_and_the_single_for_two(
    predictor: Predictor,
) -> None:
    three = predictor.predict(point_coords=[[90, 40]], point_labels=[1])
    picked = predictor.predict_one(point_coords=[[90, 40]], point_labels=[1])
    two = {"point_coords": [[90, 40], [3, 3]], "point_labels": [1, 0]}

    assert picked.predicted_iou[0] == three.predicted_iou.max()
    single = predictor.predict(**two, multimask_output=False)
    assert np.array_equal(predictor.predict_one(**two).low_res_logits, single.low_res_logits)


def test_stored_features_give_the_same_masks_as_the_photo(predictor: Predictor, model: Sam) -> None:
    other = Predictor(model)
    other.set_features(predictor.features, (90, 130))

    expected = predictor.predict(box=[60, 10, 120, 70]).masks_nhw
    assert np.array_equal(other.predict(box=[60, 10, 120, 70]).masks_nhw, expected)


def test_an_earlier_mask_can_be_refined(predictor: Predictor) -> None:
    first = predictor.predict(point_coords=[[90, 40]], point_labels=[1])

    refined = predictor.predict(
        point_coords=[[90, 40]], point_labels=[1], mask_input=first.low_res_logits[0]
    )
    from_mask_alone = predictor.predict(mask_input=first.low_res_logits[:1])

    assert not np.array_equal(refined.low_res_logits, first.low_res_logits)
    assert from_mask_alone.masks_nhw.shape == (3, 90, 130)


def test_many_boxes_get_one_mask_each_however_they_are_batched(predictor: Predictor) -> None:
    boxes = [[60, 10, 120, 70], [5, 15, 30, 75], [0, 0, 130, 90]]

    together = predictor.predict_boxes(boxes)
    one_by_one = predictor.predict_boxes(boxes, boxes_per_batch=1)

    assert together.masks_nhw.shape == (3, 90, 130)
    np.testing.assert_allclose(together.low_res_logits, one_by_one.low_res_logits, atol=1e-4)
    assert predictor.predict_boxes(np.zeros((0, 4))).masks_nhw.shape == (0, 90, 130)


@pytest.mark.parametrize(
    ("prompt", "message"),
    [
        ({}, "needs points, a box or a mask"),
        ({"point_coords": [[5, 5]]}, "need labels"),
        ({"point_labels": [1]}, "no points"),
        ({"point_coords": [[5, 5]], "point_labels": [1, 0]}, "as many labels"),
        ({"point_coords": [[5, 5]], "point_labels": [2]}, "1 for object or 0"),
        ({"point_coords": [[[5, 5]]], "point_labels": [[1]]}, r"points must be \(P, 2\)"),
        ({"point_coords": np.zeros((0, 2)), "point_labels": []}, "empty"),
        ({"point_coords": [[np.nan, 5]], "point_labels": [1]}, "finite"),
        ({"point_coords": [[131, 5]], "point_labels": [1]}, "outside the image"),
        ({"box": [50, 5, 10, 20]}, "x0 < x1"),
        ({"box": [[5, 5, 10, 20]]}, "four numbers"),
        ({"box": [5, 5, 10]}, "4 values"),
        ({"mask_input": np.zeros((5, 5))}, r"mask_input must be \(32, 32\)"),
        ({"mask_input": np.full((32, 32), np.nan)}, "finite"),
    ],
)
def test_a_prompt_that_is_wrong_is_refused_with_the_reason(
    predictor: Predictor, prompt: dict, message: str
) -> None:
    with pytest.raises(PromptError, match=message):
        predictor.predict(**prompt)


def test_nothing_can_be_asked_before_there_is_a_photo(model: Sam) -> None:
    with pytest.raises(NoImageError):
        Predictor(model).predict(box=[1, 2, 3, 4])
    with pytest.raises(NoImageError):
        _ = Predictor(model).features


def test_a_wrong_photo_leaves_the_earlier_one_in_place(predictor: Predictor) -> None:
    before = predictor.features.image_embeddings

    with pytest.raises(ImageError):
        predictor.set_image(np.zeros((4, 4), dtype=np.uint8))

    assert torch.equal(predictor.features.image_embeddings, before)
