"""The adaptive grid, votes, mask NMS and contrast: what they keep, drop and spare."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from sam.automatic.automatic_settings import RELEASED, at_quality
from sam.automatic.contrast import Surroundings
from sam.automatic.mask_generator import AutomaticSettings, generate
from sam.checkpoints.checkpoint_files import load
from sam.coordinates import Frame, as_tensor
from sam.crop_boxes import every_second, grid_points
from sam.modeling.model import Decoded, Prompts, Sam
from sam.nms import mask_nms
from tests.sam.test_automatic import SIZE, Painter, blank, run
from tests.training.blobs import blob_image

STARTER = Path(__file__).parents[2] / "sam" / "starter" / "starter.safetensors"
ADAPTIVE = AutomaticSettings(points_per_side=16, adaptive_grid=True, mask_nms_iou_thresh=0.5)


class Counter(Painter):
    """Counts prompts, and answers clicks on plain ground with a plot around each."""

    def __init__(self, discs: list, *, plot_quality: float = 0.0) -> None:
        super().__init__(discs)
        self.plot_quality = plot_quality
        self.num_coarse = self.num_full = 0

    def decode(self, features: object, prompts: Prompts, *, min_iou: float = -9.0) -> Decoded:
        if min_iou == -9.0:
            self.num_coarse += len(prompts)
        else:
            self.num_full += len(prompts)
        decoded = super().decode(features, prompts, min_iou=-9.0)
        y, x = np.mgrid[:32, :32] * 4 + 1.5
        for row, click in enumerate(prompts.point_coords[:, 0].numpy()):
            if decoded.predicted_iou[row, 1:].max() == 0 and self.plot_quality:
                ramp = np.clip((9 - np.hypot(x - click[0], y - click[1])) * 9, -20, 20)
                decoded.low_res_logits[row, 1] = torch.from_numpy(ramp).float()
                decoded.predicted_iou[row, 1] = self.plot_quality
        rows = (decoded.predicted_iou[:, 1:] > min_iou).any(1).nonzero().flatten()
        return Decoded(decoded.low_res_logits[rows], decoded.predicted_iou[rows], rows)


OBJECT = (40, 60, 30, 0.95, 9)


def test_points_inside_what_is_settled_are_spared_and_only_what_passes_is_drawn() -> None:
    model = Counter([OBJECT])
    whole = generate(Counter([OBJECT]), blank(), replace(ADAPTIVE, adaptive_grid=False))

    (mask,) = generate(model, blank(), ADAPTIVE)

    assert mask.rle == whole[0].rle
    num_inside = np.pi * 30**2 / 8**2  # of the 16 x 16 points, 8 px apart
    spared = 256 - model.num_coarse
    assert spared == pytest.approx(0.75 * num_inside, abs=8)
    assert mask.votes == pytest.approx(num_inside / 4, abs=4)
    assert model.num_full == 1

    eager = Counter([OBJECT])
    generate(eager, blank(), replace(ADAPTIVE, settled_votes=0))
    assert eager.num_coarse == 256


def test_a_mask_of_nearly_everything_settles_nothing() -> None:
    model = Counter([(64, 64, 400, 0.95, 9), (30, 30, 12, 0.95, 9)])

    masks = generate(model, blank(), replace(ADAPTIVE, points_per_side=32, stability_thresh=0.8))

    assert model.num_coarse == 32**2
    assert len(masks) == 2


def test_what_only_its_own_point_answers_with_must_be_surer() -> None:
    plots = replace(ADAPTIVE, pred_iou_thresh=0.6)
    voted = replace(plots, full_votes=3)

    everything = generate(Counter([OBJECT], plot_quality=0.9), blank(), plots)
    objects = generate(Counter([OBJECT], plot_quality=0.9), blank(), voted)

    assert len(everything) > 50
    assert len(objects) == 1
    assert objects[0].predicted_iou == pytest.approx(0.95)
    assert objects[0].votes >= 3


def test_a_lonely_mask_that_is_sure_enough_is_kept() -> None:
    small = (66, 66, 4, 0.95, 9)  # one point of the grid lies in it
    settings = replace(ADAPTIVE, full_votes=3, stability_thresh=0.3)

    assert generate(Counter([small]), blank(), replace(settings, pred_iou_thresh=0.5)) == []
    (mask,) = generate(Counter([small]), blank(), replace(settings, pred_iou_thresh=0.4))
    assert mask.votes == 1


def test_a_part_stays_beside_its_whole_and_of_near_equal_masks_the_surer_does() -> None:
    both = run([(60, 60, 40, 0.92, 9), (60, 60, 12, 0.95, 9)], mask_nms_iou_thresh=0.5)
    equals = [(60, 60, 30, 0.92, 9), (68, 66, 30, 0.97, 9)]  # IoU 0.6, boxes 0.6

    assert len(both) == 2
    assert len(run(equals)) == 2
    (mask,) = run(equals, mask_nms_iou_thresh=0.5)
    assert mask.predicted_iou == pytest.approx(0.97)


def test_packed_masks_suppress_as_plain_ones_do() -> None:
    rng = np.random.default_rng(0)
    centres, sides = rng.integers(0, 40, (60, 2)), rng.integers(5, 25, 60)
    masks = np.zeros((60, 50, 51), dtype=bool)  # 50 x 51 is no multiple of 64
    for mask, (y, x), side in zip(masks, centres, sides, strict=True):
        mask[y : y + side, x : x + side] = True
    expected: list[int] = []
    for i, mask in enumerate(masks):
        ious = [(mask & masks[j]).sum() / (mask | masks[j]).sum() for j in expected]
        if all(iou <= 0.3 for iou in ious):
            expected.append(i)

    assert mask_nms(masks, 0.3).tolist() == expected
    assert 10 < len(expected) < 60
    assert mask_nms(np.zeros((0, 4, 4), dtype=bool), 0.3).tolist() == []


def test_what_better_masks_cover_together_goes_when_asked() -> None:
    whole, part, beside = (60, 60, 40, 0.95, 9), (60, 60, 12, 0.92, 9), (110, 110, 14, 0.9, 9)

    assert len(run([whole, part, beside])) == 3
    kept = run([whole, part, beside], max_covered_share=0.9)
    assert [mask.predicted_iou for mask in kept] == pytest.approx([0.95, 0.9])
    surer_part = run([whole, (60, 60, 12, 0.97, 9)], max_covered_share=0.9)
    assert len(surer_part) == 2, "a whole is not covered by its part"


def test_contrast_is_the_difference_of_mean_colours_to_the_ring_around() -> None:
    pixels = torch.full((3, 128, 128), 100.0)
    pixels[1, 40:80, 40:80] = 130.0
    surroundings = Surroundings.of(pixels, input_hw=(128, 100), low_res_size=32)
    masks = torch.zeros(3, 32, 32, dtype=torch.bool)
    masks[0, 10:20, 10:20] = True  # the square
    masks[1, 24:28, 2:6] = True  # plain ground
    masks[2] = True  # everything: there is no ring

    assert surroundings.contrast(masks).tolist() == pytest.approx(
        [30.0, 0.0, float("inf")], abs=1e-3
    )


@pytest.mark.parametrize("batch", [1, 7, 64])
def test_the_adaptive_result_never_depends_on_the_batch(
    model: Sam, image_rgb: np.ndarray, batch: int
) -> None:
    loose = AutomaticSettings(
        points_per_side=6,
        pred_iou_thresh=-9.0,
        stability_thresh=0.3,
        stability_offset_logit=0.001,
        crop_layers=1,
        adaptive_grid=True,
        mask_nms_iou_thresh=0.8,
    )

    expected = generate(model, image_rgb, loose)
    found = generate(model, image_rgb, replace(loose, points_per_batch=batch))

    assert len(expected) > 0
    assert [mask.rle for mask in found] == [mask.rle for mask in expected]


def test_bands_of_an_adaptive_grid_ask_every_point_once() -> None:
    whole, parts = Counter([]), Counter([])
    generate(whole, blank(), ADAPTIVE)
    for band in range(4):
        generate(parts, blank(), replace(ADAPTIVE, band=(band, 4)))

    assert whole.num_coarse == parts.num_coarse == 256


def test_every_second_row_and_column_is_a_quarter_of_the_grid() -> None:
    assert every_second(4).astype(int).tolist() == [
        [1, 0, 1, 0],
        [0, 0, 0, 0],
        [1, 0, 1, 0],
        [0, 0, 0, 0],
    ]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"full_votes": 3}, "adaptive grid only"),
        ({"mask_nms_iou_thresh": 1.5}, "mask NMS"),
        ({"max_covered_share": 2.0}, "covered"),
        ({"min_contrast_levels": -1.0}, "negative"),
    ],
)
def test_settings_that_make_no_sense_are_refused(change: dict, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        replace(RELEASED, **change)


def test_quality_moves_the_thresholds_together() -> None:
    settings = AutomaticSettings(pred_iou_thresh=0.4, stability_thresh=0.7)

    low, same, high = (at_quality(settings, quality) for quality in (25, 50, 100))

    assert same == settings
    assert (low.pred_iou_thresh, low.stability_thresh) == pytest.approx((0.2, 0.35))
    assert (high.pred_iou_thresh, high.stability_thresh) == pytest.approx((0.88, 0.94))
    assert at_quality(replace(settings, pred_iou_thresh=-9.0), 0).pred_iou_thresh == -9.0
    with pytest.raises(ValueError, match="between 0 and 100"):
        at_quality(settings, 101)


@pytest.fixture(scope="module")
def starter() -> Sam:
    return load(STARTER, image_size_px=256)


def test_coarse_answers_are_nearly_the_full_ones() -> None:
    starter = load(STARTER)
    image, _ = blob_image(seed=3)
    coords = as_tensor(Frame((SIZE, SIZE), 512).to_model(grid_points(8) * SIZE), device="cpu")
    prompts = Prompts.make(coords[:, None], torch.ones(len(coords), 1, dtype=torch.int64))

    with torch.inference_mode():
        features = starter.encode(starter.preprocess(image))
        full = starter.decode(features, prompts)
        coarse = starter.decode(features.coarse(), prompts)

    assert coarse.low_res_logits.shape[-2:] == (64, 64)
    a = torch.nn.functional.avg_pool2d(full.low_res_logits[:, 1:], 2) > 0
    b = coarse.low_res_logits[:, 1:] > 0
    iou = (a & b).sum((2, 3)) / (a | b).sum((2, 3)).clamp(min=1)
    sure = (full.predicted_iou[:, 1:] > 0.3) & (a.sum((2, 3)) >= 12)  # of more than a few cells
    assert sure.sum() > 5
    assert iou[sure].median() > 0.9
    difference = (coarse.predicted_iou - full.predicted_iou)[:, 1:][sure].abs()
    assert difference.mean() < 0.05


def test_the_starter_finds_blobs_and_is_silent_where_there_is_nothing(starter: Sam) -> None:
    image, truths = blob_image(seed=3, side_px=256)
    noise = np.random.default_rng(0).normal(128, 16, (256, 256, 3)).clip(0, 255).astype(np.uint8)
    settings = replace(
        ADAPTIVE,
        pred_iou_thresh=0.35,
        stability_thresh=0.7,
        stability_offset_logit=0.5,
        full_votes=3,
        min_contrast_levels=4.0,
    )

    found = [mask.rle.decode() for mask in generate(starter, image, settings)]

    for truth in truths:
        assert max((mask & truth).sum() / (mask | truth).sum() for mask in found) > 0.5
    for level in (0, 128, 255):
        assert generate(starter, np.full((256, 256, 3), level, np.uint8), settings) == []
    assert len(generate(starter, noise, settings)) <= 1
