from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from sam.automatic.mask_generator import (
    PAPER_ENGINE,
    RELEASED,
    AutomaticSettings,
    generate,
    stability_score,
)
from sam.crop_boxes import CropBox, grid_points, make_crop_boxes, touches_inner_edge
from sam.modeling.features import ImageFeatures
from sam.modeling.model import Decoded, ImageError, Prompts, Sam, build
from sam.nms import box_nms

SIZE = 128


class Painter(nn.Module):
    """Stands in for a trained model: answers each click with the discs drawn for it.

    discs: centre x, y and radius in image pixels, predicted IoU, logit height at the centre.
    """

    def __init__(self, discs: list[tuple[float, float, float, float, float]]) -> None:
        super().__init__()
        self.config = build("tiny").config
        self.device = torch.device("cpu")
        self.discs = discs
        self.num_encoded = 0
        self.most_prompts = 0

    def preprocess(self, image: np.ndarray) -> torch.Tensor:
        self.shape = image.shape
        return torch.zeros(1, 3, SIZE, SIZE)

    def encode(self, images: torch.Tensor) -> ImageFeatures:
        self.num_encoded += 1
        return ImageFeatures(torch.zeros(1, 16, 8, 8), torch.zeros(1, 8, 32, 32))

    def decode(self, features: ImageFeatures, prompts: Prompts, *, min_iou: float) -> Decoded:
        num = len(prompts)
        self.most_prompts = max(self.most_prompts, num)
        assert prompts.point_labels.tolist() == [[1, -1]] * num
        y, x = np.mgrid[:32, :32] * 4 + 1.5
        logits, iou = torch.full((num, 4, 32, 32), -20.0), torch.zeros(num, 4)
        iou[:, 0] = 5.0  # the single mask must never be used
        for row in range(num):
            click = prompts.point_coords[row, 0].numpy()
            for index, (cx, cy, radius, quality, height) in enumerate(self.discs):
                distance = np.hypot(x - cx, y - cy)
                if np.hypot(*(click - [cx, cy])) < radius:
                    ramp = np.clip((radius - distance) * height, -20, 20)
                    logits[row, 1 + index % 3] = torch.from_numpy(ramp).float()
                    iou[row, 1 + index % 3] = quality
        rows = (iou[:, 1:] > min_iou).any(1).nonzero().flatten()
        return Decoded(logits[rows], iou[rows], rows)


def blank(height: int = SIZE, width: int = SIZE) -> np.ndarray:
    return np.zeros((height, width, 3), dtype=np.uint8)


def run(discs: list[tuple[float, float, float, float, float]], **settings: object) -> list:
    model = Painter(discs)
    return generate(model, blank(), replace(AutomaticSettings(points_per_side=16), **settings))


def test_one_object_hit_by_many_points_is_found_once() -> None:
    (mask,) = run([(40, 60, 20, 0.95, 9)])

    assert mask.rle.decode()[60, 40]
    assert mask.area_px == pytest.approx(np.pi * 20**2, rel=0.05)
    assert mask.bbox_xywh_px == pytest.approx((20, 40, 40, 40), abs=2)
    assert mask.predicted_iou == pytest.approx(0.95)
    assert mask.stability_score > 0.95
    assert mask.crop_box_xywh_px == (0, 0, SIZE, SIZE)
    assert np.hypot(mask.point_xy_px[0] - 40, mask.point_xy_px[1] - 60) < 20


def test_an_object_the_model_doubts_or_draws_softly_is_left_out() -> None:
    sure = (30, 30, 20, 0.95, 9)

    assert len(run([sure, (90, 90, 20, 0.88, 9)])) == 1  # the limit itself is not above it
    assert len(run([sure, (90, 90, 20, 0.89, 9)])) == 2
    assert len(run([sure, (90, 90, 20, 0.95, 0.5)])) == 1  # +1 and -1 lie 4 px apart
    assert len(run([sure, (90, 90, 20, 0.95, 0.5)], stability_thresh=0.5)) == 2


def test_a_part_and_a_whole_are_both_kept_but_of_two_equals_the_surer_wins() -> None:
    both = run([(60, 60, 40, 0.92, 9), (60, 60, 12, 0.95, 9)])
    equals = run([(60, 60, 30, 0.92, 9), (61, 60, 30, 0.97, 9)])

    assert len(both) == 2
    assert [mask.predicted_iou for mask in equals] == [pytest.approx(0.97)]


def test_a_mask_of_nearly_the_whole_image_goes_only_when_asked() -> None:
    everything = [(64, 64, 400, 0.95, 9)]

    assert len(run(everything)) == 1
    assert run(everything, max_area_share=0.95) == []


def test_small_masks_are_dropped_by_the_paper_s_rule_and_kept_by_the_released_one() -> None:
    speck = [(60, 60, 5, 0.95, 9)]  # about 79 px

    assert len(run(speck)) == 1
    assert len(run(speck, min_region_area_px=100)) == 1
    assert run(speck, min_region_area_px=100, drop_tiny_masks=True) == []


def test_crops_find_the_same_object_again_and_the_closest_look_wins() -> None:
    settings = replace(PAPER_ENGINE, points_per_side=16, crop_layers=1)

    class Zoomed(Painter):  # sees one disc in the middle of whatever crop it is shown
        def decode(self, features: ImageFeatures, prompts: Prompts, *, min_iou: float) -> Decoded:
            scale = SIZE / max(self.shape[:2])
            x, y = (64, 64) if max(self.shape) == SIZE else (30 * scale, 30 * scale)
            self.discs = [(x, y, 12 * scale, 0.95, 9)]
            return super().decode(features, prompts, min_iou=min_iou)

    masks = generate(Zoomed([]), blank(), settings)

    assert [mask.crop_box_xywh_px[2] for mask in masks] == [85, 85, 86, 86, 128]


def test_every_crop_is_encoded_once_and_given_features_save_the_first() -> None:
    settings = replace(RELEASED, points_per_side=4, crop_layers=1)
    plain, given = Painter([]), Painter([])

    generate(plain, blank(), settings)
    generate(given, blank(), settings, features=plain.encode(torch.zeros(1, 3, SIZE, SIZE)))

    assert plain.num_encoded - 1 == 5  # one call was the test's own
    assert given.num_encoded == 4


def test_points_go_to_the_decoder_in_small_batches_and_progress_reaches_the_end() -> None:
    model, seen = Painter([]), list[float]()

    generate(
        model,
        blank(),
        AutomaticSettings(points_per_side=5, points_per_batch=10),
        on_progress=lambda share, text: seen.append(share),
    )

    assert model.most_prompts == 10
    assert seen == sorted(seen)
    assert seen == pytest.approx([0.4, 0.8, 1.0])


@pytest.mark.parametrize("batch", [1, 7, 64])
def test_the_result_never_depends_on_the_batch(
    model: Sam, image_rgb: np.ndarray, batch: int
) -> None:
    loose = AutomaticSettings(
        points_per_side=5,
        pred_iou_thresh=-9.0,
        stability_thresh=0.3,
        stability_offset_logit=0.001,  # random weights draw faint masks
        crop_layers=1,
    )

    expected = generate(model, image_rgb, loose)
    found = generate(model, image_rgb, replace(loose, points_per_batch=batch))

    assert len(expected) > 0
    assert [mask.rle for mask in found] == [mask.rle for mask in expected]
    assert all(mask.rle.decode().shape == (90, 130) for mask in found)


def test_stability_worked_out_by_hand() -> None:
    logits = torch.tensor([[[2.0, 0.5, -0.5, -3.0]], [[-5.0, -5.0, -5.0, -5.0]]])

    # above +1: one pixel; above -1: three
    assert stability_score(logits).tolist() == [pytest.approx(1 / 3), 0.0]
    assert stability_score(logits, offset=0.25).tolist()[0] == 1.0


def test_crops_have_the_published_geometry() -> None:
    crops = make_crop_boxes((1500, 2250), num_layers=2, overlap_ratio=512 / 1500)

    assert len(crops) == 21
    assert crops[0].xywh_px == (0, 0, 2250, 1500)
    assert crops[1].xywh_px == (0, 0, 1381, 1006)
    assert crops[4].xywh_px == (1381 - 512, 1006 - 512, 1381, 1006)
    assert crops[5].xywh_px == (0, 0, 755, 567)
    assert all(c.x_px + c.width_px <= 2250 and c.y_px + c.height_px <= 1500 for c in crops)
    points = sum(PAPER_ENGINE.points_in_layer(crop.layer) ** 2 for crop in crops)
    assert points == 3072


def test_crops_of_any_image_cover_it() -> None:
    for image_hw in ((1, 1), (1, 50), (7, 3), (64, 48)):
        seen = np.zeros(image_hw, dtype=bool)
        for crop in make_crop_boxes(image_hw, num_layers=2, overlap_ratio=512 / 1500)[1:]:
            assert crop.width_px > 0
            assert crop.height_px > 0
            seen[crop.rows, crop.columns] = True
        assert seen.all()


def test_grid_points_are_cell_centres() -> None:
    assert grid_points(2).tolist() == [[0.25, 0.25], [0.75, 0.25], [0.25, 0.75], [0.75, 0.75]]


@pytest.mark.parametrize(
    ("bbox", "margin_px", "expected"),
    [
        ((10, 10, 20, 20), 0, False),
        ((80, 10, 20, 20), 0, True),  # right side on the crop's right border
        ((60, 10, 21, 20), 20, True),  # 19 px from it
        ((59, 10, 20, 20), 20, False),  # 21 px from it
        ((0, 0, 20, 20), 20, False),  # at the image's own corner
    ],
)
def test_masks_at_an_inner_crop_border_are_taken_as_cut_off(
    bbox: tuple[int, int, int, int], margin_px: int, expected: bool
) -> None:
    crop = CropBox(layer=1, x_px=0, y_px=0, width_px=100, height_px=100)

    assert touches_inner_edge(bbox, crop, image_hw=(200, 200), margin_px=margin_px) is expected


def test_suppression_is_greedy_by_score_and_breaks_ties_by_area_then_order() -> None:
    boxes = [[0, 0, 10, 10], [0, 0, 10, 11], [0, 0, 10, 10], [50, 50, 60, 60]]

    assert box_nms(boxes, [1.0, 1.0, 1.0, 0.5], 0.7).tolist() == [1, 3]
    assert box_nms(boxes, [2.0, 1.0, 2.0, 0.5], 0.7).tolist() == [0, 3]
    assert box_nms(boxes, [1.0, 1.0, 1.0, 0.5], 1.0).tolist() == [1, 0, 2, 3]
    assert box_nms(np.zeros((0, 4)), [], 0.5).tolist() == []
    with pytest.raises(ValueError, match="as many scores"):
        box_nms(boxes, [1.0], 0.7)


@pytest.mark.parametrize(
    "change",
    [{"points_per_side": 0}, {"crop_layers": -1}, {"crop_overlap_ratio": 1.0}],
)
def test_settings_that_make_no_sense_are_refused(change: dict) -> None:
    with pytest.raises(ValueError, match=r"crop|points"):
        replace(RELEASED, **change)


def test_what_is_no_image_is_refused(model: Sam) -> None:
    with pytest.raises(ImageError):
        generate(model, np.zeros((4, 4), dtype=np.uint8))
