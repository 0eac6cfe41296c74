from __future__ import annotations

import numpy as np
import pytest
import torch

from sam.modeling.config import ConfigError, SamConfig
from sam.modeling.model import ImageError, PromptError, Prompts, Sam, build
from sam.modeling.presets import PRESETS
from sam.prompting.selection import best_of_three, choose
from sam.prompts import Decoded

POINTS = torch.tensor([[[20.0, 30.0], [70.0, 44.0]], [[90.0, 80.0], [5.0, 6.0]]])
LABELS = torch.tensor([[1, 0], [1, 1]])
BOXES = torch.tensor([[10.0, 12.0, 60.0, 70.0], [0.0, 0.0, 30.0, 20.0]])


def test_an_image_is_normalised_before_it_is_padded(model: Sam) -> None:
    white = np.full((40, 80, 3), 255, dtype=np.uint8)

    pixels = model.preprocess(white)

    assert pixels.shape == (1, 3, 128, 128)
    assert pixels[0, 0, 63, 127] == pytest.approx((255 - 123.675) / 58.395)
    assert (pixels[0, :, 64:] == 0).all()


@pytest.mark.parametrize(("brightest", "seen"), [(51, 255), (20, 160), (255, 255), (0, 0)])
def test_a_dim_image_is_brightened_up_to_eight_times(brightest: int, seen: int) -> None:
    dim = np.zeros((64, 64, 3), dtype=np.uint8)
    dim[:32, :, 1] = brightest
    dim[0, 0] = 255  # a hot pixel does not count

    pixels = build("tiny", seed=0).preprocess(dim)

    green = pixels[0, 1] * 57.12 + 116.28
    assert green[20, 20].item() == pytest.approx(seen, abs=0.01)


@torch.no_grad()
def test_prompts_answered_together_get_the_answers_they_get_alone(
    model: Sam, image_rgb: np.ndarray
) -> None:
    features = model.encode(model.preprocess(image_rgb))

    together = model.decode(features, Prompts.make(POINTS, LABELS))

    for row in range(2):
        alone = model.decode(features, Prompts.make(POINTS[row : row + 1], LABELS[row : row + 1]))
        torch.testing.assert_close(
            together.low_res_logits[row], alone.low_res_logits[0], atol=1e-5, rtol=1e-5
        )
        torch.testing.assert_close(
            together.predicted_iou[row], alone.predicted_iou[0], atol=1e-5, rtol=1e-5
        )


@torch.no_grad()
def test_clicks_boxes_and_masks_can_share_a_batch(model: Sam, image_rgb: np.ndarray) -> None:
    features = model.encode(model.preprocess(image_rgb))
    click = Prompts.make(POINTS[:1, :1], LABELS[:1, :1])
    box = Prompts.make(boxes=BOXES[:1])
    mask = 3 * torch.randn(1, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    on_mask = Prompts.make(POINTS[1:, :1], LABELS[1:, :1], low_res_logits=mask)

    together = model.decode(features, Prompts.concat([click, box, on_mask]))

    for row, prompts in enumerate([click, box, on_mask]):
        alone = model.decode(features, prompts).low_res_logits[0]
        torch.testing.assert_close(together.low_res_logits[row], alone, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_every_kind_of_prompt_changes_the_answer(model: Sam, image_rgb: np.ndarray) -> None:
    features = model.encode(model.preprocess(image_rgb))
    mask = 3 * torch.randn(1, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    kinds = [
        Prompts.make(POINTS[:1, :1], LABELS[:1, :1]),
        Prompts.make(POINTS[:1, :1], 1 - LABELS[:1, :1]),
        Prompts.make(POINTS[:1, :1] + 9, LABELS[:1, :1]),
        Prompts.make(POINTS[:1], LABELS[:1]),
        Prompts.make(boxes=BOXES[:1]),
        Prompts.make(boxes=BOXES[:1] + 9),
        Prompts.make(POINTS[:1, :1], LABELS[:1, :1], low_res_logits=mask),
    ]

    answers = [model.decode(features, kind).low_res_logits for kind in kinds]

    for index, one in enumerate(answers):
        for other in answers[:index]:
            assert (one - other).abs().max() > 1e-5


def test_gradients_reach_every_weight_and_flow_under_bfloat16() -> None:
    model = build("tiny", seed=0)
    images = torch.randn(2, 3, 128, 128, generator=torch.Generator().manual_seed(0))
    mask = torch.randn(2, 1, 32, 32, generator=torch.Generator().manual_seed(1))

    with torch.autocast("cpu", dtype=torch.bfloat16):
        features = model.encode(images)
        total = torch.zeros(())
        for index, prompts in enumerate(
            [
                Prompts.make(POINTS, LABELS, BOXES, mask),
                Prompts.make(POINTS, LABELS),
            ]
        ):
            decoded = model.decode(features.image(index), prompts)
            total = total + decoded.low_res_logits.float().square().mean()
            total = total + decoded.predicted_iou.float().square().mean()
    total.backward()

    untouched = [
        name
        for name, parameter in model.named_parameters()
        if parameter.grad is None or not torch.isfinite(parameter.grad).all()
    ]
    assert untouched == []


@torch.no_grad()
def test_a_pyramid_model_sees_the_same_positions_at_another_image_size() -> None:
    small = build("tiny", seed=0)
    large = Sam(small.config.at_image_size(256))

    assert large.config.position_frame_px == small.config.position_frame_px
    large.load_state_dict(small.state_dict())
    near = small.prompt_encoder.dense_pe(8, 8).reshape(8, 8, -1)
    far = large.prompt_encoder.dense_pe(16, 16).reshape(16, 16, -1)
    torch.testing.assert_close(near, far[:8, :8])
    with pytest.raises(ConfigError, match="128 px only"):
        PRESETS["tiny_vit"].at_image_size(256)


def test_features_of_another_number_of_images_or_another_model_are_refused(model: Sam) -> None:
    images = torch.zeros(3, 3, 128, 128)
    prompts = Prompts.make(POINTS, LABELS)
    with torch.no_grad():
        features = model.encode(images)

    with pytest.raises(ImageError, match=r"one for each of the 2 prompt sets, got \(3, "):
        model.decode(features, prompts)
    with pytest.raises(ImageError, match=r"\(B, 3, 128, 128\)"):
        model.encode(torch.zeros(1, 3, 64, 64))


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((5, 5), dtype=np.uint8),
        np.zeros((5, 5, 4), dtype=np.uint8),
        np.zeros((5, 5, 3), dtype=np.float32),
        np.zeros((0, 5, 3), dtype=np.uint8),
        [[[1, 2, 3]]],
    ],
    ids=["grey", "four channels", "floats", "no pixels", "a list"],
)
def test_an_array_that_is_no_image_is_refused(model: Sam, image: np.ndarray) -> None:
    with pytest.raises(ImageError):
        model.preprocess(image)


def test_the_padding_point_follows_points_only_when_there_is_no_box() -> None:
    points = Prompts.make(POINTS, LABELS)
    both = Prompts.make(POINTS, LABELS, BOXES)
    box = Prompts.make(boxes=BOXES)

    assert points.point_labels.tolist() == [[1, 0, -1], [1, 1, -1]]
    assert points.point_coords[:, 2].tolist() == [[0, 0], [0, 0]]
    assert both.point_labels.tolist() == [[1, 0, 2, 3], [1, 1, 2, 3]]
    assert both.point_coords[0, 2:].tolist() == [[10, 12], [60, 70]]
    assert box.point_labels.tolist() == [[2, 3], [2, 3]]


def test_prompts_that_disagree_on_their_number_are_refused() -> None:
    with pytest.raises(PromptError, match="disagree"):
        Prompts.make(POINTS, LABELS, BOXES[:1])
    with pytest.raises(PromptError, match="labels"):
        Prompts.make(POINTS, LABELS[:, :1])
    with pytest.raises(PromptError, match="needs points, a box or a mask"):
        Prompts.make()


def test_one_prompt_gets_the_best_of_three_and_more_get_the_single_mask() -> None:
    logits = torch.arange(8.0).reshape(2, 4, 1, 1)
    decoded = Decoded(logits, torch.tensor([[0.9, 0.1, 0.8, 0.3], [0.2, 0.5, 0.4, 0.5]]))

    assert choose(decoded, 1).index.tolist() == [2, 1]
    assert choose(decoded, 2).index.tolist() == [0, 0]
    mixed = choose(decoded, torch.tensor([1, 3]))
    assert mixed.low_res_logits.flatten().tolist() == [2.0, 4.0]
    assert mixed.predicted_iou.tolist() == [pytest.approx(0.8), pytest.approx(0.2)]
    assert best_of_three(decoded).index.tolist() == [2, 1]


@pytest.mark.parametrize("preset", PRESETS)
def test_a_configuration_survives_its_json_form(preset: str) -> None:
    assert SamConfig.from_dict(PRESETS[preset].to_dict()) == PRESETS[preset]


@pytest.mark.parametrize(
    "change",
    [
        {"image_size_px": 100},
        {"max_exposure_gain": 0.5},
        {"embed_channels": 7},
        {"surprise": 1},
        {"encoder": {"kind": "swin"}},
        {"decoder": {"prompt_maps": ["smell"]}},
        {"decoder": None},
    ],
)
def test_a_configuration_that_cannot_be_built_is_refused(change: dict) -> None:
    values = PRESETS["tiny"].to_dict() | change

    with pytest.raises(ConfigError):
        SamConfig.from_dict(values)
