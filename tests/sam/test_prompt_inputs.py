"""What people pass as prompts: taken as it is meant, or refused with the reason."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from masks import seeds
from sam.modeling.model import PromptError, Prompts
from sam.prompting.predictor import Predictor
from tests.sam.test_predictor import BOXES, LABELS, POINTS, assert_same

RAGGED = {
    "point_coords": [[[90, 40]], [[15, 30], [60, 60]], [[3, 3], [129, 89], [60, 60]]],
    "point_labels": [[1], [1, 0], [0, 1, 1]],
}


@pytest.mark.parametrize("with_box", [False, True])
def test_prompts_of_several_lengths_give_what_each_gives_alone(
    predictor: Predictor, with_box: bool
) -> None:
    boxes = {"boxes": BOXES[[0, 1, 2, 0]]} if with_box else {}
    points = [*RAGGED["point_coords"], [[70, 20]]]
    labels = [*RAGGED["point_labels"], np.array([1])]

    found = predictor.predict_batch(point_coords=points, point_labels=labels, **boxes)

    rows = [
        predictor.predict(point_coords=p, point_labels=m, box=BOXES[[0, 1, 2, 0][i]])
        if with_box
        else predictor.predict(point_coords=p, point_labels=m)
        for i, (p, m) in enumerate(zip(points, labels, strict=True))
    ]
    assert_same(found, rows)


@torch.no_grad()
def test_a_padding_point_is_a_token_wherever_it_is_said_to_lie(predictor: Predictor) -> None:
    found = predictor.predict(point_coords=[[90, 40], [np.nan, -7]], point_labels=[1, -1])

    frame = predictor.frame
    coords = torch.zeros(1, 3, 2)
    coords[0, 0] = torch.from_numpy(frame.to_model([90, 40]))
    decoded = predictor.model.decode(
        predictor.features, Prompts(coords, torch.tensor([[1, -1, -1]]))
    )
    expected = decoded.low_res_logits[0, 1:].numpy()
    np.testing.assert_allclose(found.low_res_logits, expected, atol=1e-5)
    one = {"point_coords": [[90, 40], [0, 0]], "point_labels": [1, -1]}
    assert predictor.predict_one(**one).predicted_iou[0] == found.predicted_iou.max()


def test_a_mask_of_the_image_is_shown_to_the_model_as_the_page_shows_it(
    predictor: Predictor,
) -> None:
    masks = np.zeros((2, 90, 130), dtype=bool)
    masks[0, 20:70, 10:25] = True
    masks[1, 20:60, 70:110] = True
    covered = [
        seeds.coverage(mask, input_hw=predictor.frame.input_hw, side=32, stride_px=4)
        for mask in masks
    ]
    clicks = {"point_coords": [[15, 30], [90, 40]], "point_labels": [1, 1]}

    many = predictor.predict_batch(mask_inputs=masks, **clicks)
    alone = predictor.predict(mask_input=masks[0])

    logits = np.stack([seeds.seed_logits(row) for row in covered])
    assert_same(many, predictor.predict_batch(mask_inputs=logits, **clicks))
    assert_same([alone], [predictor.predict(mask_input=logits[0])])


CLICK = {"point_coords": [[5, 5]], "point_labels": [1]}


@pytest.mark.parametrize(
    ("prompt", "message"),
    [
        ({}, "needs points, a box or a mask"),
        ({"point_coords": [[5, 5]]}, "need labels"),
        ({"point_labels": [1]}, "no points"),
        (CLICK | {"point_labels": [1, 0]}, "as many labels"),
        (CLICK | {"point_labels": [[1]]}, "as many labels"),
        (CLICK | {"point_labels": [2]}, "1 for object, 0 for background or -1 .*, number 0 is 2"),
        (CLICK | {"point_labels": [-1]}, r"nothing but padding points \(-1\)"),
        (CLICK | {"point_labels": [-2]}, "number 0 is -2"),
        (CLICK | {"point_labels": [0.5]}, "number 0 is 0.5"),
        (CLICK | {"point_labels": [np.nan]}, "number 0 is nan"),
        (CLICK | {"point_labels": ["1"]}, "labels must be an array of numbers"),
        (CLICK | {"point_labels": [[1], [1, 0]]}, "labels must be an array of numbers"),
        (CLICK | {"point_coords": [[[5, 5]]]}, r"points must be \(P, 2\)"),
        (CLICK | {"point_coords": [5, 5]}, r"points must be \(P, 2\)"),
        (CLICK | {"point_coords": [[5, 5, 5]]}, "2 values each"),
        (CLICK | {"point_coords": 5}, "2 values each"),
        ({"point_coords": np.zeros((0, 2)), "point_labels": []}, "empty"),
        (CLICK | {"point_coords": [[np.nan, 5]]}, r"finite numbers, number 0 is \(nan, 5\)"),
        (CLICK | {"point_coords": [[5, np.inf]]}, "finite"),
        (CLICK | {"point_coords": [[131, 5]]}, r"point \(131, 5\), number 0, lies outside the im"),
        (CLICK | {"point_coords": [[5, -0.1]]}, "lies outside the image of 130 x 90 px"),
        (CLICK | {"point_coords": [["5", "5"]]}, "points must be an array of numbers"),
        (CLICK | {"point_coords": [[5j, 5]]}, "points must be an array of numbers"),
        (CLICK | {"point_coords": [[None, 5]]}, "points must be an array of numbers"),
        (CLICK | {"point_coords": [[True, False]]}, "points must be an array of numbers"),
        (CLICK | {"point_coords": [[5, 5], [5]]}, "points must be an array of numbers"),
        ({"box": [50, 5, 10, 20]}, r"box \(50, 5, 10, 20\), number 0, must have x0 < x1"),
        ({"box": [5, 20, 10, 5]}, "x0 < x1 and y0 < y1"),
        ({"box": [5, 5, 5, 9]}, "x0 < x1 and y0 < y1"),
        ({"box": [200, 5, 210, 9]}, "lies outside the image of 130 x 90 px"),
        ({"box": [[5, 5, 10, 20]]}, "four numbers"),
        ({"box": [5, 5, 10]}, "4 values"),
        ({"box": [5, 5, 10, np.nan]}, "finite"),
        ({"box": "5 5 10 20"}, "boxes must be an array of numbers"),
        ({"mask_input": np.zeros((5, 5))}, r"mask_input must be \(32, 32\)"),
        ({"mask_input": np.zeros((3, 32, 32))}, r"mask_input must be \(32, 32\)"),
        ({"mask_input": np.full((32, 32), np.nan)}, "finite"),
        ({"mask_input": np.ones((32, 32), dtype=bool)}, r"image's size, \(90, 130\), got \(32, 32"),
        ({"mask_input": np.zeros((90, 130), dtype=bool)}, "nothing to refine"),
        (
            {"mask_input": np.ones((32, 32), dtype=np.uint8)},
            r"whole numbers \(uint8\): pass a mask",
        ),
        ({"mask_input": np.ones((90, 130), dtype=int)}, r"mask.astype\(bool\)"),
        ({"mask_input": np.ones((2, 90, 130), dtype=bool)}, r"mask_input must be \(32, 32\)"),
        ({"mask_input": [[1], [2, 3]]}, "mask_input must be an array of numbers"),
    ],
)
def test_a_prompt_that_is_wrong_is_refused_with_the_reason(
    predictor: Predictor, prompt: dict, message: str
) -> None:
    with pytest.raises(PromptError, match=message):
        predictor.predict(**prompt)


@pytest.mark.parametrize(
    ("prompts", "message"),
    [
        ({}, "needs points, a box or a mask"),
        ({"point_labels": [1]}, "no points"),
        ({"point_coords": [5, 5], "point_labels": 1}, r"points must be \(N, 2\) or"),
        ({"point_coords": np.zeros((2, 0, 2)), "point_labels": np.zeros((2, 0))}, "empty"),
        ({"point_coords": POINTS, "point_labels": LABELS[:-1]}, "as many labels"),
        ({"point_coords": POINTS, "point_labels": [1, 1, 1, 3, 1]}, "number 3 is 3"),
        ({"point_coords": [[5, 5], [500, 5]], "point_labels": [1, 1]}, r"\(500, 5\), number 1"),
        ({"boxes": BOXES[0]}, r"boxes must be \(N, 4\)"),
        ({"boxes": [[1, 1, 9, 9], [9, 9, 1, 1]]}, r"box \(9, 9, 1, 1\), number 1, must have"),
        ({"boxes": BOXES, "point_coords": POINTS[:2], "point_labels": [1, 1]}, "disagree"),
        ({"mask_inputs": np.zeros((32, 32))}, r"mask_inputs must be \(N, 32, 32\)"),
        ({"boxes": BOXES, "mask_inputs": np.zeros((1, 32, 32))}, "disagree"),
        ({"mask_inputs": np.ones((2, 32, 32), dtype=np.int64)}, "whole numbers"),
        ({"mask_inputs": np.ones((90, 130), dtype=bool)}, r"mask_inputs must be \(N, 32, 32\)"),
        ({"mask_inputs": np.eye(2)[:, :1, None] * np.ones((90, 130)) > 0}, "mask 1 .* is empty"),
        ({"point_coords": [[5, 5], [6, 6]], "point_labels": [1, -1]}, "row 1 has nothing but padd"),
        (RAGGED | {"point_labels": [[1], [1, 0]]}, "3 lists of points need as many lists of lab"),
        (RAGGED | {"point_labels": None}, "3 lists of points need as many lists of labels"),
        (RAGGED | {"point_labels": [[1], [1], [1, 1, 0]]}, r"row 1: .* need as many labels"),
        (RAGGED | {"point_labels": [[1], [1, 7], [1, 1, 0]]}, "row 1: .* number 1 is 7"),
        (RAGGED | {"point_labels": [[1], [-1, -1], [1, 1, 0]]}, "row 1 has nothing but padding"),
        (RAGGED | {"boxes": BOXES}, r"disagree on their number: \[3, 5\]"),
        (RAGGED | {"point_coords": [[[5, 5]], [], [[9, 9]]]}, "row 1: the list of points is empty"),
        (
            RAGGED | {"point_coords": [[[5, 5]], [[5], [6]], [[9, 9]]]},
            "row 1: points must have 2 val",
        ),
        (
            RAGGED | {"point_coords": [[[5, 5]], [[5, 5], [5, 500]], [[9, 9]] * 3]},
            r"row 1: the point \(5, 500\), number 1, lies outside",
        ),
        (
            {"point_coords": [[[5, 5]] * 2, [[5, 5], [500, 5]]], "point_labels": [[1, 1]] * 2},
            r"row 1: the point \(500, 5\), number 1, lies outside",
        ),
    ],
)
def test_prompts_of_which_one_is_wrong_are_refused_with_its_number(
    predictor: Predictor, prompts: dict, message: str
) -> None:
    with pytest.raises(PromptError, match=message):
        predictor.predict_batch(**prompts)
