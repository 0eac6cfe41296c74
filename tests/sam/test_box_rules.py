"""A mask drawn from a box ends where the box does."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from sam.modeling.box_rules import (
    BOX_GAIN,
    EDGE_SLOPE,
    MIN_HALF_AXIS_CELLS,
    box_bounds,
    narrow_ellipses,
)
from sam.modeling.features import ImageFeatures
from sam.modeling.model import build
from sam.modeling.prompt_maps import prompt_maps
from sam.modeling.prompt_rules import PromptRules
from sam.prompts import Prompts

BOX = torch.tensor([[3.0, 4.0, 13.0, 16.0]])
INSIDE = torch.tensor([[[5.0, 5.0]]])
OUTSIDE = torch.tensor([[[1.0, 5.0]]])


def bounds(prompts: Prompts) -> torch.Tensor:
    return box_bounds(prompts, size=4, image_size_px=16)


def test_the_bound_rises_by_the_slope_per_cell_from_the_nearest_edge() -> None:
    # centres of cells lie at 2, 6, 10 and 14; the box spans 3 to 13 and 4 to 16. It is 2.5 cells
    # wide, half a cell under three: a margin of a quarter of a cell, 1 px, left and right
    depth_px = [
        [-2, -2, -2, -2],  # 2 above the top edge, whatever the column
        [0, 2, 2, 0],  # 2 below it; left and right edges at 1 from the outer columns
        [0, 4, 4, 0],
        [0, 2, 2, 0],  # 2 above the bottom edge
    ]

    expected = EDGE_SLOPE * torch.tensor(depth_px) / 4
    assert torch.allclose(bounds(Prompts.make(boxes=BOX))[0], expected)


@pytest.mark.parametrize(
    ("point", "label", "is_bounded"),
    [(INSIDE, 1, True), (OUTSIDE, 0, True), (OUTSIDE, 1, False)],
    ids=["a click inside", "a background click outside", "a click outside"],
)
def test_only_a_foreground_click_outside_lifts_the_bound(
    point: torch.Tensor, label: int, is_bounded: bool
) -> None:
    drawn = bounds(Prompts.make(point, torch.tensor([[label]]), boxes=BOX))

    assert bool((drawn[0, 0] < 0).all()) is is_bounded
    assert bool((drawn > 100).all()) is not is_bounded


def test_a_click_alone_has_no_bound() -> None:
    assert (bounds(Prompts.make(INSIDE, torch.tensor([[1]]))) > 100).all()


def test_masks_of_a_box_stay_inside_it_to_the_pixel() -> None:
    model = build("tiny", seed=0).eval()
    box = torch.tensor([[21.0, 30.0, 74.0, 95.0]])
    with torch.no_grad():
        for hyper in model.mask_decoder.output_hypernetworks_mlps:
            hyper.layers[-1].bias.fill_(5.0)  # masks that would fill the image
        features = model.encode(torch.rand(1, 3, 128, 128))
        decoded = model.decode(features, Prompts.make(boxes=box))

    full = F.interpolate(decoded.low_res_logits, 128, mode="bilinear", align_corners=False)
    masks = full[0] > 0
    outside = torch.ones(128, 128, dtype=torch.bool)
    outside[30:95, 21:74] = False
    assert not masks[:, outside].any()


def ellipse(prompts: Prompts) -> torch.Tensor:
    features = ImageFeatures(torch.zeros(1, 1, 1, 1), torch.zeros(1, 1, 4, 4))
    maps = prompt_maps(("oval",), prompts, features, image_size_px=16, sigma_px=8.0)
    return maps[0, 0]


def test_the_oval_is_one_in_the_middle_of_the_box_and_falls_to_zero_where_it_touches_it() -> None:
    # the box spans 2 to 10 and 6 to 18: middle (6, 12), half sides 4 and 6, as cells' centres are
    # at 2, 6, 10 and 14
    drawn = ellipse(Prompts.make(boxes=torch.tensor([[2.0, 6.0, 10.0, 18.0]])))

    by_column = torch.tensor([1.0, 0.0, 1.0, 4.0])
    by_row = torch.tensor([100 / 36, 1.0, 4 / 36, 4 / 36])
    expected = (1 - by_row[:, None] - by_column).clamp(min=-1)
    assert torch.allclose(drawn, expected)
    assert drawn[1, 1] == pytest.approx(0.0)  # the top of the ellipse
    assert drawn[2, 1] == pytest.approx(1 - 4 / 36)


@pytest.mark.parametrize("box", [[5.0, 5.0, 5.0, 5.0], [5.0, 0.0, 5.0, 16.0]])
def test_the_oval_of_a_box_without_width_is_finite(box: list[float]) -> None:
    assert ellipse(Prompts.make(boxes=torch.tensor([box]))).isfinite().all()


def test_a_click_alone_has_no_oval() -> None:
    assert (ellipse(Prompts.make(INSIDE, torch.tensor([[1]]))) == 0).all()


def test_a_box_too_narrow_to_look_into_is_answered_by_its_oval() -> None:
    # cells of 4 px; the box is 4 px square around (8, 8), a corner of four cells
    box = torch.tensor([[6.0, 6.0, 10.0, 10.0]])

    logits, share = narrow_ellipses(Prompts.make(boxes=box), size=4, image_size_px=16)

    assert share.tolist() == [1.0]
    half_diagonal = 0.5**0.5  # cells from the corner to the nearest centres
    expected = EDGE_SLOPE * (MIN_HALF_AXIS_CELLS - half_diagonal)
    assert logits[0, 1:3, 1:3].tolist() == [[pytest.approx(expected, abs=1e-5)] * 2] * 2
    assert (logits[0, 0] < 0).all()


@pytest.mark.parametrize(("side_px", "share"), [(8.0, 1.0), (12.0, 0.5), (16.0, 0.0), (40.0, 0.0)])
def test_the_oval_s_share_falls_between_two_and_four_cells(side_px: float, share: float) -> None:
    box = torch.tensor([[0.0, 0.0, 60.0, side_px]])

    assert narrow_ellipses(Prompts.make(boxes=box), size=16, image_size_px=64)[1].item() == share


@pytest.mark.parametrize("label", [0, 1])
def test_a_click_takes_over_from_the_oval(label: int) -> None:
    clicked = Prompts.make(INSIDE, torch.tensor([[label]]), boxes=torch.tensor([[3.0, 3, 9, 9]]))

    assert narrow_ellipses(clicked, size=4, image_size_px=16)[1].item() == 0
    assert (
        narrow_ellipses(Prompts.make(INSIDE, torch.tensor([[1]])), size=4, image_size_px=16)[1] == 0
    )


def test_a_speck_in_a_box_has_a_mask_where_it_is() -> None:
    model = build("tiny", seed=0).eval()
    with torch.no_grad():
        features = model.encode(torch.rand(1, 3, 128, 128))
        for left in (40.0, 41.0, 42.0, 43.0):
            box = torch.tensor([[left, 50.0, left + 6, 57.0]])
            low = model.decode(features, Prompts.make(boxes=box)).low_res_logits[:, :1]
            mask = F.interpolate(low, (128, 128), mode="bilinear", align_corners=False)[0, 0] > 0
            filled = torch.zeros_like(mask)
            filled[50:57, int(left) : int(left) + 6] = True
            assert (mask & filled).sum() / (mask | filled).sum() > 0.45


LARGE = torch.tensor([[0.0, 0.0, 64.0, 64.0]])


def raised(prompts: Prompts, *, is_learning: bool = False) -> float:
    """Return what becomes of logit -0.1 in the middle of a box of 16 x 16 cells."""
    rules = PromptRules.of(prompts, size=16, image_size_px=64, is_learning=is_learning)
    return float(rules.apply(torch.full((1, 4, 16, 16), -0.1))[0, 0, 8, 8])


def test_a_box_alone_is_filled_further_than_its_logits_say() -> None:
    assert raised(Prompts.make(boxes=LARGE)) == pytest.approx(BOX_GAIN - 0.1)


@pytest.mark.parametrize("label", [0, 1])
def test_a_click_ends_the_gain(label: int) -> None:
    clicked = Prompts.make(INSIDE, torch.tensor([[label]]), boxes=LARGE)

    assert raised(clicked) == pytest.approx(-0.1)
    assert raised(Prompts.make(INSIDE, torch.tensor([[1]]))) == pytest.approx(-0.1)


def test_who_learns_sees_the_logits_without_the_gain() -> None:
    assert raised(Prompts.make(boxes=LARGE), is_learning=True) == pytest.approx(-0.1)
    model = build("tiny", seed=0).eval()
    prompts = Prompts.make(boxes=2 * LARGE)
    with torch.no_grad():
        features = model.encode(torch.rand(1, 3, 128, 128))
        served = model.decode(features, prompts).low_res_logits
        learning = model.decode(features, prompts, is_learning=True).low_res_logits
    inside = (slice(None), slice(None), slice(8, 24), slice(8, 24))  # far from the bounds
    torch.testing.assert_close(served[inside], learning[inside] + BOX_GAIN, atol=1e-4, rtol=0)
