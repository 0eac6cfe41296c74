"""No mask holds a background click, and background clicks alone select nothing."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
import torch.nn.functional as F

from sam.checkpoints import checkpoint_files
from sam.coordinates import Frame, as_tensor
from sam.modeling.box_rules import EDGE_SLOPE
from sam.modeling.click_rules import HOLE_CELLS, background_bounds, names_an_object
from sam.modeling.model import Prompts, Sam, build
from sam.modeling.prompt_rules import PromptRules
from sam.prompting.predictor import Predictor

STARTER = Path(__file__).parents[2] / "sam" / "starter"


def test_the_bound_rises_by_the_slope_per_cell_from_a_cell_around_the_click() -> None:
    # centres of cells lie at 2, 6, 10 and 14; the click lies 1 px right of and 2 px below one
    clicked = Prompts.make(torch.tensor([[[7.0, 12.0], [2.0, 2.0]]]), torch.tensor([[0, 1]]))

    bounds = background_bounds(clicked, size=4, image_size_px=16)

    away_px = [
        [10, 10, 10, 10],  # 10 rows above the click, further than any column
        [6, 6, 6, 7],
        [5, 2, 3, 7],
        [5, 2, 3, 7],
    ]
    expected = EDGE_SLOPE * (torch.tensor(away_px) / 4 - HOLE_CELLS)
    assert torch.allclose(bounds[0], expected)


def test_of_several_background_clicks_the_nearest_bounds_and_without_one_nothing_does() -> None:
    points = torch.tensor([[[2.0, 2.0], [14.0, 14.0]]])
    both, first, last, no_one = (
        background_bounds(Prompts.make(points, torch.tensor([labels])), size=4, image_size_px=16)
        for labels in ([0, 0], [0, 1], [1, 0], [1, 1])
    )

    assert torch.equal(both, torch.minimum(first, last))
    assert (no_one > 1000).all()


@pytest.mark.parametrize(
    ("labels", "has_mask", "is_named"),
    [
        ([0, -1], None, False),
        ([0, 0], None, False),
        ([-1, -1], None, False),
        ([0, 1], None, True),
        ([2, 3], None, True),
        ([0, -1], 0.0, False),
        ([0, -1], 1.0, True),
        ([], 1.0, True),
        ([], 0.0, False),
    ],
)
def test_a_foreground_click_a_box_or_a_mask_names_an_object(
    labels: list[int], has_mask: float | None, is_named: bool
) -> None:
    marks = torch.tensor([labels], dtype=torch.int64)
    coords = torch.zeros(1, len(labels), 2)
    mask = None if has_mask is None else torch.zeros(1, 1, 4, 4)
    flags = None if has_mask is None else torch.tensor([has_mask])

    assert names_an_object(Prompts(coords, marks, mask, flags)).tolist() == [is_named]
    if has_mask:
        assert names_an_object(Prompts(coords, marks, mask)).tolist() == [True]


@torch.no_grad()
def test_background_clicks_alone_select_nothing_and_trust_it_not_at_all() -> None:
    model = build("tiny", seed=0).eval()
    features = model.encode(torch.rand(1, 3, 128, 128))
    clicks = torch.tensor([[[20.0, 30.0], [90.0, 90.0]], [[20.0, 30.0], [90.0, 90.0]]])
    prompts = Prompts.make(clicks, torch.tensor([[0, 0], [0, 1]]))

    alone, with_foreground = (
        model.decode(features, prompts.rows(row)) for row in (slice(0, 1), slice(1, 2))
    )
    together = model.decode(features, prompts, min_iou=0.0)

    assert (alone.low_res_logits <= -10).all()
    assert (alone.predicted_iou == 0).all()
    assert (with_foreground.predicted_iou != 0).all()
    assert together.rows is not None
    assert 0 not in together.rows.tolist()


@torch.no_grad()
def test_official_models_answer_background_clicks_as_they_always_did() -> None:
    model = build("tiny_vit", seed=0).eval()
    with torch.no_grad():
        for hyper in model.mask_decoder.output_hypernetworks_mlps:
            hyper.layers[-1].bias.fill_(3.0)
    features = model.encode(torch.rand(1, 3, 128, 128))

    click = Prompts.make(torch.tensor([[[20.0, 30.0]]]), torch.tensor([[0]]))
    decoded = model.decode(features, click)

    assert torch.equal(
        decoded.low_res_logits, model.decode(features, click, is_learning=True).low_res_logits
    )
    assert (decoded.low_res_logits > -10).all()
    assert (decoded.predicted_iou != 0).all()


@torch.no_grad()
def test_who_learns_sees_the_logits_around_a_background_click_as_the_network_gives_them() -> None:
    model = build("tiny", seed=0).eval()
    features = model.encode(torch.rand(1, 3, 128, 128))
    labels = torch.tensor([[0, 1]])
    prompts = Prompts.make(torch.tensor([[[20.0, 30.0], [90.0, 90.0]]]), labels)
    for hyper in model.mask_decoder.output_hypernetworks_mlps:
        hyper.layers[-1].bias.fill_(5.0)

    served = model.decode(features, prompts).low_res_logits
    learning = model.decode(features, prompts, is_learning=True).low_res_logits

    bounds = background_bounds(prompts, size=32, image_size_px=128)
    assert (learning > bounds[:, None]).any()
    torch.testing.assert_close(served, torch.minimum(learning, bounds[:, None]))


@dataclass(frozen=True)
class Case:
    """Clicks on an image, in its pixels; the first is the background click that is asked about."""

    points: list[tuple[float, float]]
    labels: list[int]
    box: list[float] | None


PHOTOS_HW = [(480, 640), (600, 240), (97, 130), (700, 1000), (13, 40)]
"""The third is as small beside the model's 512 px as a crop may be; pixels of the last are of
three cells each."""
CASES_PER_PHOTO = 100
NUM_CHECKED_WITHOUT_THE_RULE = 20


def make_image(image_hw: tuple[int, int], random: np.random.Generator) -> np.ndarray:
    """Discs of several colours on a gradient."""
    height, width = image_hw
    rows, columns = np.mgrid[:height, :width]
    pixels = np.stack([rows * 200 // height, columns * 200 // width, rows * 0 + 90], axis=-1)
    for _ in range(12):
        y, x, radius = random.random(3) * (height, width, max(image_hw) / 6)
        pixels[np.hypot(rows - y, columns - x) < radius] = random.integers(0, 255, 3)
    return pixels.astype(np.uint8)


def a_case(image_hw: tuple[int, int], random: np.random.Generator) -> Case:
    """Draw a background click, often at a border or on a whole pixel, and what else there is."""
    height, width = image_hw
    size = np.array([width, height], dtype=float)
    click = random.random(2) * size
    if random.random() < 0.3:
        click = np.round(click)
    if random.random() < 0.3:
        axis = random.integers(2)
        click[axis] = random.choice([0.0, size[axis] - 1, size[axis]])
    kind = random.choice(["alone", "foreground", "near", "box", "both"])
    points, labels, box = [click], [0], None
    if kind in ("foreground", "both"):
        points.append(random.random(2) * size)
    if kind == "near":
        points.append(np.clip(click + random.normal(size=2) * size / 15, 0, size))
    labels += [1] * (len(points) - 1)
    if kind in ("box", "both"):
        reach = random.uniform(0.05, 0.5, 2) * size
        box = [*np.maximum(click - reach, 0.0), *np.minimum(click + reach, size)]
    return Case([(float(x), float(y)) for x, y in points], labels, box)


@pytest.fixture(scope="module")
def starter() -> Sam:
    return checkpoint_files.load(STARTER / "starter.safetensors")


@pytest.mark.parametrize("image_hw", PHOTOS_HW, ids=str)
def test_no_mask_of_the_starter_holds_a_background_click_by_torch_or_by_onnxruntime(
    starter: Sam, image_hw: tuple[int, int]
) -> None:
    random = np.random.default_rng(sum(image_hw))
    predictor = Predictor(starter)
    predictor.set_image(make_image(image_hw, random))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(STARTER / "decoder.onnx", options)
    for _ in range(CASES_PER_PHOTO):
        case = a_case(image_hw, random)
        prompts = prompts_of(case, predictor.frame)
        with torch.inference_mode():
            by_torch = starter.decode(predictor.features, prompts).low_res_logits
        by_onnx = torch.from_numpy(session.run(["low_res_masks"], feeds(predictor, prompts))[0])

        assert not holds(by_torch, case, predictor.frame)
        assert not holds(by_onnx, case, predictor.frame)
        everything = torch.full_like(by_torch, 20.0)  # whatever the network says
        rules = PromptRules.of(prompts, size=everything.shape[-1], image_size_px=512)
        assert holds(everything, case, predictor.frame)
        assert not holds(rules.apply(everything), case, predictor.frame)


def test_without_the_rule_the_starter_s_masks_hold_background_clicks(starter: Sam) -> None:
    num_inside = 0
    for image_hw in PHOTOS_HW:
        random = np.random.default_rng(sum(image_hw))
        predictor = Predictor(starter)
        predictor.set_image(make_image(image_hw, random))
        for _ in range(NUM_CHECKED_WITHOUT_THE_RULE):
            case = a_case(image_hw, random)
            prompts = prompts_of(case, predictor.frame)
            with torch.inference_mode():
                free = starter.decode(predictor.features, prompts, is_learning=True)
            num_inside += holds(free.low_res_logits, case, predictor.frame)
    assert num_inside > 0.2 * NUM_CHECKED_WITHOUT_THE_RULE * len(PHOTOS_HW)


def prompts_of(case: Case, frame: Frame) -> Prompts:
    points = as_tensor(frame.clicks_to_model(case.points, case.labels))[None]
    box = None if case.box is None else as_tensor(frame.boxes_to_model(case.box))[None]
    return Prompts.make(points, torch.tensor([case.labels]), box)


def feeds(predictor: Predictor, prompts: Prompts) -> dict[str, np.ndarray]:
    features = predictor.features
    assert features.high_res_features is not None
    return {
        "image_embeddings": features.image_embeddings.numpy(),
        "high_res_features": features.high_res_features.numpy(),
        "point_coords": prompts.point_coords.numpy(),
        "point_labels": prompts.point_labels.float().numpy(),
        "mask_input": np.zeros((1, 1, 128, 128), dtype=np.float32),
        "has_mask_input": np.zeros(1, dtype=np.float32),
    }


def holds(low_res_logits: torch.Tensor, case: Case, frame: Frame) -> bool:
    """Say whether one of the masks in the image's size holds the case's background click."""
    height, width = frame.image_hw
    (x, y), *_ = case.points
    masks = frame.to_image_logits(low_res_logits)[0] > 0
    return bool(masks[:, min(int(y), height - 1), min(int(x), width - 1)].any())


def test_the_hole_around_a_background_click_is_about_a_cell_and_a_half_wide() -> None:
    prompts = Prompts.make(torch.tensor([[[50.0, 61.0], [90.0, 90.0]]]), torch.tensor([[0, 1]]))
    rules = PromptRules.of(prompts, size=32, image_size_px=128)

    low_res = rules.apply(torch.full((1, 1, 32, 32), 20.0))

    full = F.interpolate(low_res, (128, 128), mode="bilinear", align_corners=False)[0, 0] > 0
    rows, columns = (~full).nonzero().unbind(1)
    assert 4 <= columns.max() - columns.min() + 1 <= 7  # four pixels a cell
    assert 4 <= rows.max() - rows.min() + 1 <= 7
    assert 12 <= len(rows) <= 36
