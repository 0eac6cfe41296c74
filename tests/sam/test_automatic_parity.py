"""Automatic masks on real images: ours and segment-anything's generator keep the same ones.

The images come from ../shared/data/photos-dev (or SEGLOOP_SHARED_DATA); without it this skips.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco
from scipy.optimize import linear_sum_assignment

from sam.automatic.mask_generator import AutomaticSettings, generate
from sam.checkpoints.checkpoint_files import load
from sam.modeling.config import DecoderConfig, SamConfig
from sam.modeling.encoders.vit import VitConfig
from sam.modeling.model import Sam
from tests.needs import SHARED_DATA, missing
from tests.peers import segment_anything_peer as peer

ROOT = Path(__file__).resolve().parents[2]
PHOTOS = SHARED_DATA / "photos-dev" / "images"
STARTER = ROOT / "sam" / "starter" / "starter.safetensors"
SMALLEST_IOU = 0.99
SMALLEST_SHARE = 0.99
FEWEST_MASKS = 50

pytestmark = pytest.mark.timeout(1800)


@pytest.fixture(autouse=True)
def _photos() -> None:
    if not PHOTOS.is_dir():
        missing(f"no images at {PHOTOS}")


@dataclass(frozen=True)
class Scenario:
    """Settings both generators run at."""

    name: str
    settings: AutomaticSettings
    images: tuple[str, ...]


def as_their_arguments(ours: AutomaticSettings) -> dict[str, Any]:
    return {
        "points_per_side": ours.points_per_side,
        "pred_iou_thresh": ours.pred_iou_thresh,
        "stability_score_thresh": ours.stability_thresh,
        "stability_score_offset": ours.stability_offset_logit,
        "box_nms_thresh": ours.nms_iou_thresh,
        "crop_n_layers": ours.crop_layers,
        "crop_nms_thresh": ours.crop_nms_iou_thresh,
        "crop_overlap_ratio": ours.crop_overlap_ratio,
        "crop_n_points_downscale_factor": ours.crop_points_downscale,
        "min_mask_region_area": ours.min_region_area_px,
    }


def make_image(name: str, *, long_side_px: int) -> np.ndarray:
    """Read an image, reduced: both generators spend most of their time on pixels."""
    with Image.open(PHOTOS / name) as image:
        image.thumbnail((long_side_px, long_side_px))
        return np.asarray(image.convert("RGB"))


@dataclass(frozen=True)
class Match:
    """Masks paired one to one with the largest possible number at IoU >= SMALLEST_IOU."""

    num_theirs: int
    num_ours: int
    pairs: list[tuple[int, int]]

    @property
    def num_agreed(self) -> int:
        return len(self.pairs)


def match(theirs: list[dict[str, Any]], ours: list[Any]) -> Match:
    a = [mask["segmentation"] for mask in theirs]
    b = [{"size": [m.rle.height_px, m.rle.width_px], "counts": m.rle.counts} for m in ours]
    if not a or not b:
        return Match(len(a), len(b), [])
    iou = coco.iou(a, b, [0] * len(b))
    rows, columns = linear_sum_assignment(iou < SMALLEST_IOU)
    agreed = [(r, c) for r, c in zip(rows, columns, strict=True) if iou[r, c] >= SMALLEST_IOU]
    return Match(len(a), len(b), agreed)


def compare(
    ours: Sam, reference: Any, images: list[np.ndarray], settings: AutomaticSettings, what: str
) -> None:
    generator = peer.SamAutomaticMaskGenerator(
        reference, output_mode="coco_rle", **as_their_arguments(settings)
    )
    num_agreed = num_all = 0
    for image in images:
        theirs, found = generator.generate(image), generate(ours, image, settings)
        result = match(theirs, found)
        print(
            f"\n{what}, {image.shape[1]} x {image.shape[0]} px: {result.num_theirs} masks of "
            f"theirs, {result.num_ours} of ours, {result.num_agreed} the same",
            end="",
        )
        assert min(result.num_theirs, result.num_ours) >= FEWEST_MASKS
        num_agreed += result.num_agreed
        num_all += max(result.num_theirs, result.num_ours)
        for row, column in result.pairs:
            told, mask = theirs[row], found[column]
            assert mask.predicted_iou == pytest.approx(told["predicted_iou"], abs=1e-3)
            # Twins of one mask, from two points, may be paired crosswise.
            assert mask.stability_score == pytest.approx(told["stability_score"], abs=0.02)
            assert abs(mask.area_px - told["area"]) <= 0.01 * told["area"]
            x, y, w, h = told["bbox"]  # theirs ends at the last pixel, ours after it
            assert mask.bbox_xywh_px == pytest.approx(
                (x, y, w + 1, h + 1), abs=0.02 * max(w, h, 50)
            )
    assert num_agreed >= SMALLEST_SHARE * num_all


# --- trained weights: our starter, driven by the reference's generator ---------------------------

# Thresholds of the starter's header, loosened until at least 50 masks an image survive.
STARTER_SETTINGS = AutomaticSettings(
    points_per_side=12,
    points_per_batch=32,
    pred_iou_thresh=0.15,
    stability_thresh=0.5,
    stability_offset_logit=0.5,
)
GRAINS, STREET = "grains_1_2_0.jpg", "coco_000000000073.jpg"
SCENARIOS = [
    Scenario("no crops", STARTER_SETTINGS, (GRAINS, STREET)),
    Scenario("crops", replace(STARTER_SETTINGS, crop_layers=1, crop_points_downscale=2), (GRAINS,)),
    Scenario("small parts cleaned", replace(STARTER_SETTINGS, min_region_area_px=40), (STREET,)),
]


@pytest.fixture(scope="module")
def starter() -> Sam:
    return load(STARTER, image_size_px=256)  # the same weights, at a quarter of the cost


@pytest.mark.slow
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_the_trained_starter_s_masks_are_those_of_the_reference_s_generator(
    starter: Sam, scenario: Scenario
) -> None:
    images = [make_image(name, long_side_px=360) for name in scenario.images]

    compare(starter, peer.AsReference(starter), images, scenario.settings, scenario.name)


# --- random weights in the official layout: the reference's own model against ours ---------------

OFFICIAL_LAYOUT = SamConfig(
    arch="small",
    image_size_px=256,
    embed_channels=32,
    encoder=VitConfig(embed_dim=48, depth=4, num_heads=4, global_blocks=(1, 3), window_size=6),
    decoder=DecoderConfig(
        num_heads=4, mlp_dim=64, iou_hidden_dim=32, mask_channels=16, upscale_channels=(8, 4)
    ),
)
# Random masks reach all over the image: suppressing equal boxes would leave one of them.
RANDOM_SETTINGS = AutomaticSettings(
    points_per_side=8,
    points_per_batch=24,
    pred_iou_thresh=0.05,
    stability_thresh=0.7,
    stability_offset_logit=0.1,
    nms_iou_thresh=1.0,
    crop_nms_iou_thresh=1.0,
)


@pytest.mark.parametrize(
    "change",
    [{}, {"min_region_area_px": 25}],
    ids=["as drawn", "small parts cleaned"],
)
def test_a_random_model_s_masks_are_those_of_the_reference_model_s(change: dict[str, Any]) -> None:
    reference = peer.official_layout(OFFICIAL_LAYOUT)
    ours = peer.ours_with_same_weights(reference)
    images = [make_image(STREET, long_side_px=150)]

    compare(ours, reference, images, replace(RANDOM_SETTINGS, **change), f"random, {change}")
