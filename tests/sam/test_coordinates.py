from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sam.coordinates import Frame
from sam.prompts import PromptError


def test_the_resize_rule_worked_out_by_hand() -> None:
    # 333 * 512 / 1001 = 170.33 -> 170; points scale by 170 / 333 along y, not by 512 / 1001
    frame = Frame((333, 1001), 512)

    assert frame.input_hw == (170, 512)
    assert frame.to_model([[1001, 333]])[0].tolist() == pytest.approx([512, 170])


@given(st.integers(1, 5000), st.integers(1, 5000))
def test_every_image_fits_the_square_and_its_long_side_fills_it(height: int, width: int) -> None:
    input_hw = Frame((height, width), 512).input_hw

    assert max(input_hw) == 512
    assert min(input_hw) >= 1


def test_boxes_go_to_the_model_and_come_back() -> None:
    frame = Frame((480, 640), 1024)
    box = [[10.0, 20.0, 600.0, 470.0]]

    assert frame.boxes_to_model(box)[0].tolist() == [16, 32, 960, 752]
    assert frame.boxes_to_image(frame.boxes_to_model(box)).tolist() == box
    assert frame.boxes_to_model([-50, -50, 9999, 100])[0:2].tolist() == [0, 0]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_not_finite_are_refused(value: float) -> None:
    frame = Frame((480, 640), 1024)

    with pytest.raises(PromptError, match="finite"):
        frame.to_model([[value, 1.0]])
    with pytest.raises(PromptError, match="finite"):
        frame.boxes_to_model([0.0, 0.0, value, 5.0])


@pytest.mark.parametrize("point", [(-1, 5), (641, 5), (5, 480.5), (5, -0.1)])
def test_a_point_outside_the_image_is_refused_and_named(point: tuple[float, float]) -> None:
    with pytest.raises(PromptError, match="outside the image of 640 x 480 px"):
        Frame((480, 640), 1024).to_model([(3, 3), point])


@pytest.mark.parametrize("box", [(9, 1, 3, 5), (1, 9, 5, 3), (4, 4, 4, 8), (700, 1, 800, 9)])
def test_an_inverted_flat_or_outside_box_is_refused(box: tuple[float, ...]) -> None:
    with pytest.raises(PromptError, match="box"):
        Frame((480, 640), 1024).boxes_to_model(box)


@pytest.mark.parametrize("points", [[1, 2, 3], "here", [["a", "b"]], 5])
def test_what_is_not_a_list_of_points_is_refused(points: object) -> None:
    with pytest.raises(PromptError):
        Frame((480, 640), 1024).to_model(points)  # type: ignore[arg-type]


def test_padding_is_cut_off_before_masks_are_brought_to_the_image() -> None:
    # The image fills the upper half of the square: logits there are +1, in the padding -9.
    logits = torch.full((1, 1, 32, 32), -9.0)
    logits[..., :16, :] = 1.0

    image = Frame((50, 100), 128).to_image_logits(logits)

    assert image.shape == (1, 1, 50, 100)
    assert (image[0, 0, :48] > 0).all()
