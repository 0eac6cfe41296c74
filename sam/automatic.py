"""Segment everything: a grid of points, three masks each, filtered to the confident and stable.

Steps and numbers: paper section B and the released SamAutomaticMaskGenerator.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from masks.regions import fill_holes, keep_components, largest_component
from masks.rle import Rle
from sam.coordinates import Frame, as_tensor
from sam.crops import Crop, grid_points, make_crops, touches_inner_edge
from sam.features import ImageFeatures
from sam.model import Sam, check_image, image_hw_of
from sam.nms import box_nms
from sam.prompts import Prompts
from sam.upscale import Upscaler

Progress = Callable[[float, str], None]


@dataclass(frozen=True, kw_only=True)
class AutomaticSettings:
    """How to look and what to keep; the defaults are the released generator's.

    points_per_batch: decoded at once; it bounds memory and changes no result.
    edge_margin_px: how near to an inner crop border a mask is taken as cut off.
    max_area_share: masks covering this share of the photo or more are dropped; None keeps them.
    min_region_area_px: smaller islands go and smaller holes are filled; 0 leaves masks alone.
    drop_tiny_masks: drop a mask whose largest island is smaller than that, else keep the island.
    band: (k, n): ask only the k-th of n horizontal bands of the points: results in parts.
    """

    points_per_side: int = 32
    points_per_batch: int = 16
    crop_layers: int = 0
    crop_points_downscale: int = 1
    crop_overlap_ratio: float = 512 / 1500
    pred_iou_thresh: float = 0.88
    stability_thresh: float = 0.95
    stability_offset_logit: float = 1.0
    nms_iou_thresh: float = 0.7
    crop_nms_iou_thresh: float = 0.7
    edge_margin_px: int = 20
    max_area_share: float | None = None
    min_region_area_px: int = 0
    drop_tiny_masks: bool = False
    band: tuple[int, int] = (0, 1)

    def __post_init__(self) -> None:
        if min(self.points_per_side, self.points_per_batch, self.crop_points_downscale) < 1:
            raise ValueError("points per side, per batch and the crop downscale are at least 1")
        if self.crop_layers < 0 or self.min_region_area_px < 0 or self.edge_margin_px < 0:
            raise ValueError("crop layers, region area and edge margin cannot be negative")
        if not 0 <= self.crop_overlap_ratio < 1:
            raise ValueError("the crop overlap ratio lies between 0 and 1")
        if not 0 <= self.band[0] < self.band[1]:
            raise ValueError("a band is (k, n) with 0 <= k < n")

    def points_in_layer(self, layer: int) -> int:
        """Return the points per side used in crops of a layer."""
        divisor = int(self.crop_points_downscale**layer)
        return max(1, self.points_per_side // divisor)


RELEASED = AutomaticSettings()
PAPER_ENGINE = AutomaticSettings(
    crop_layers=2,
    crop_points_downscale=2,
    edge_margin_px=0,
    max_area_share=0.95,
    min_region_area_px=100,
    drop_tiny_masks=True,
)


@dataclass(frozen=True, slots=True)
class AutomaticMask:
    """One mask in the photo's frame, with the point and crop it came from."""

    rle: Rle
    predicted_iou: float
    stability_score: float
    crop_box_xywh_px: tuple[int, int, int, int]
    point_xy_px: tuple[float, float]
    bbox_xywh_px: tuple[int, int, int, int]
    area_px: int


@torch.inference_mode()
def generate(
    model: Sam,
    image_hwc_u8: NDArray[np.uint8],
    settings: AutomaticSettings = RELEASED,
    *,
    features: ImageFeatures | None = None,
    on_progress: Progress | None = None,
) -> list[AutomaticMask]:
    """Return every mask that passes: most zoomed-in crops first, best first within a crop.

    features: of the whole photo, when already encoded. Equal input gives equal output.
    Raises ImageError when the array is no photo.
    """
    check_image(image_hwc_u8)
    model.eval()
    image_hw = image_hw_of(image_hwc_u8)
    crops = make_crops(
        image_hw, num_layers=settings.crop_layers, overlap_ratio=settings.crop_overlap_ratio
    )
    num_points = [settings.points_in_layer(crop.layer) ** 2 // settings.band[1] for crop in crops]
    done, found = 0, list[_Candidate]()
    for crop, num in zip(crops, num_points, strict=True):
        whole = features if crop.layer == 0 else None
        in_crop: list[_Candidate] = []
        for num_done, candidates in _candidates_of_crop(model, image_hwc_u8, crop, settings, whole):
            in_crop += candidates
            if on_progress is not None:
                share = (done + num_done) / sum(num_points)
                on_progress(share, f"{done + num_done} of {sum(num_points)} points")
        found += _suppress(in_crop, settings.nms_iou_thresh)
        done += num
    if len(crops) > 1:
        found = _suppress(found, settings.crop_nms_iou_thresh, prefer_small_crops=True)
    masks = [candidate.paint(image_hw) for candidate in found]
    return _clean(masks, settings) if settings.min_region_area_px else masks


def stability_score(logits: Tensor, threshold: float = 0.0, offset: float = 1.0) -> Tensor:
    """Return the IoU of (..., H, W) logits cut at threshold + offset and at threshold - offset.

    A mask that is empty at the lower cut scores 0.
    """
    inner = (logits > threshold + offset).sum(dim=(-2, -1), dtype=torch.int64)
    outer = (logits > threshold - offset).sum(dim=(-2, -1), dtype=torch.int64)
    return inner / outer.clamp(min=1)


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A mask that passed the filters of its crop and is painted only if NMS keeps it.

    logits: (S, S) low-resolution, in the crop's frame. box_xyxy_px: first and last column and row
    inside, in the photo's frame.
    """

    crop: Crop
    upscaler: Upscaler
    logits: Tensor
    predicted_iou: float
    stability_score: float
    point_xy_px: tuple[float, float]
    box_xyxy_px: tuple[int, int, int, int]
    area_px: int

    def paint(self, image_hw: tuple[int, int]) -> AutomaticMask:
        """Draw the mask in the photo's frame."""
        crop = self.crop
        mask: NDArray[np.bool_] = self.upscaler.paint(self.logits)
        if mask.shape != image_hw:
            in_crop, mask = mask, np.zeros(image_hw, dtype=bool, order="F")
            mask[crop.rows, crop.columns] = in_crop
        return AutomaticMask(
            Rle.encode(mask),
            self.predicted_iou,
            self.stability_score,
            crop.xywh_px,
            self.point_xy_px,
            _tight(self.box_xyxy_px),
            self.area_px,
        )


def _candidates_of_crop(
    model: Sam,
    image_hwc_u8: NDArray[np.uint8],
    crop: Crop,
    settings: AutomaticSettings,
    features: ImageFeatures | None,
) -> Iterator[tuple[int, list[_Candidate]]]:
    """Yield the number of points answered so far and the masks that pass."""
    if features is None:
        pixels = np.ascontiguousarray(image_hwc_u8[crop.rows, crop.columns])
        features = model.encode(model.preprocess(pixels))
    else:
        features = features.to(device=model.device, dtype=torch.float32)
    look = _Look(model, features, crop, image_hw_of(image_hwc_u8), settings)
    grid = grid_points(settings.points_in_layer(crop.layer))
    band, num_bands = settings.band
    grid = grid[np.floor(grid[:, 1] * num_bands) == band]
    points = grid * np.array([crop.width_px, crop.height_px])
    for start in range(0, len(points), settings.points_per_batch):
        batch = points[start : start + settings.points_per_batch]
        yield start + len(batch), look.candidates_at(batch)


class _Look:
    """One encoded crop and what to keep from it."""

    def __init__(
        self,
        model: Sam,
        features: ImageFeatures,
        crop: Crop,
        image_hw: tuple[int, int],
        settings: AutomaticSettings,
    ) -> None:
        self.model, self.features, self.crop = model, features, crop
        self.image_hw, self.settings = image_hw, settings
        self.frame = Frame((crop.height_px, crop.width_px), model.config.image_size_px)
        self.upscaler = Upscaler(
            self.frame, low_res_size=model.config.low_res_size, device=model.device
        )

    def candidates_at(self, points_xy_crop: NDArray[np.float64]) -> list[_Candidate]:
        """Prompt with (M, 2) points; measure only what the model itself trusts."""
        device, thresh = self.model.device, self.settings.pred_iou_thresh
        coords = as_tensor(self.frame.to_model(points_xy_crop), device=device)
        labels = torch.ones(len(points_xy_crop), 1, dtype=torch.int64, device=device)
        prompts = Prompts.make(coords[:, None], labels)
        decoded = self.model.decode(self.features, prompts, min_iou=thresh)
        assert decoded.rows is not None
        iou = decoded.predicted_iou[:, 1:].flatten()
        trusted = (iou > thresh).nonzero().flatten()
        if not len(trusted):
            return []
        logits = decoded.low_res_logits[:, 1:].flatten(0, 1)[trusted]
        found = self.upscaler.measure(logits, offset=self.settings.stability_offset_logit)
        point_rows = decoded.rows.repeat_interleave(3)[trusted]
        stability = found.stability
        is_kept = (stability >= self.settings.stability_thresh) & (found.area > 0)
        # One transfer from the device for all masks, not one for each.
        figures = torch.stack([point_rows, found.area, *found.box_xyxy.unbind(1)], dim=1).tolist()
        scores = torch.stack([iou[trusted].float(), stability.float()], dim=1).tolist()
        candidates: list[_Candidate] = []
        for row in is_kept.nonzero().flatten().tolist():
            point, area, *box = figures[row]
            x0, y0, x1, y1 = self._in_photo(box)
            if self._is_dropped((x0, y0, x1, y1), area):
                continue
            xy = points_xy_crop[point]
            candidates.append(
                _Candidate(
                    self.crop,
                    self.upscaler,
                    logits[row].clone(),  # not a view that keeps the whole batch alive
                    scores[row][0],
                    scores[row][1],
                    (float(xy[0]) + self.crop.x_px, float(xy[1]) + self.crop.y_px),
                    (x0, y0, x1, y1),
                    area,
                )
            )
        return candidates

    def _in_photo(self, box_xyxy: Sequence[int]) -> tuple[int, int, int, int]:
        x0, y0, x1, y1 = box_xyxy
        left, top = self.crop.x_px, self.crop.y_px
        return (x0 + left, y0 + top, x1 + left, y1 + top)

    def _is_dropped(self, box_xyxy_px: tuple[int, int, int, int], area_px: int) -> bool:
        height, width = self.image_hw
        margin = self.settings.edge_margin_px
        return _is_huge(area_px, height * width, self.settings) or touches_inner_edge(
            _tight(box_xyxy_px), self.crop, image_hw=self.image_hw, margin_px=margin
        )


def _suppress(
    masks: Sequence[_Candidate], iou_thresh: float, *, prefer_small_crops: bool = False
) -> list[_Candidate]:
    """Drop near-equal boxes: rank by predicted IoU, area, then order; or by crop size, then order.

    Crops of one size keep their order, as the reference's stable sort leaves it.
    """

    def rank(index: int) -> tuple[float, float, int]:
        mask = masks[index]
        if prefer_small_crops:
            return (mask.crop.width_px * mask.crop.height_px, 0.0, index)
        return (-mask.predicted_iou, -mask.area_px, index)

    ranked = [masks[index] for index in sorted(range(len(masks)), key=rank)]
    return [ranked[i] for i in _kept([mask.box_xyxy_px for mask in ranked], iou_thresh)]


def _kept(ranked_xyxy_px: Sequence[tuple[int, int, int, int]], iou_thresh: float) -> list[int]:
    """Say which boxes, best first, NMS keeps; last pixels are inside, as the reference's."""
    boxes = np.array(ranked_xyxy_px, dtype=np.float64).reshape(-1, 4)
    return [int(i) for i in box_nms(boxes, -np.arange(len(boxes)), iou_thresh)]


def _clean(masks: Sequence[AutomaticMask], settings: AutomaticSettings) -> list[AutomaticMask]:
    """Fill small holes, drop small islands, then suppress again: untouched masks win."""
    cleaned, was_changed = [], []
    for mask in masks:
        result = _clean_one(mask, settings)
        if result is not None:
            cleaned.append(result)
            was_changed.append(result.rle != mask.rle)
    order = sorted(range(len(cleaned)), key=lambda index: (was_changed[index], index))
    ranked = [_inclusive(cleaned[index].bbox_xywh_px) for index in order]
    thresh = max(settings.nms_iou_thresh, settings.crop_nms_iou_thresh)
    kept = {order[index] for index in _kept(ranked, thresh)}
    return [mask for index, mask in enumerate(cleaned) if index in kept]


def _clean_one(mask: AutomaticMask, settings: AutomaticSettings) -> AutomaticMask | None:
    area = settings.min_region_area_px
    pixels = fill_holes(mask.rle.decode(), area - 1)
    islands = keep_components(pixels, area)
    if not islands.any():
        if settings.drop_tiny_masks:
            return None
        islands = largest_component(pixels)
    rle = Rle.encode(islands)
    if _is_huge(rle.area_px, islands.size, settings):  # by the holes just filled
        return None
    return replace(mask, rle=rle, bbox_xywh_px=rle.bbox_xywh_px, area_px=rle.area_px)


def _tight(box_xyxy_px: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
    x0, y0, x1, y1 = box_xyxy_px
    return (x0, y0, x1 - x0 + 1, y1 - y0 + 1)


def _inclusive(bbox_xywh_px: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
    x, y, width, height = bbox_xywh_px
    return (x, y, x + width - 1, y + height - 1)


def _is_huge(area_px: int, photo_px: int, settings: AutomaticSettings) -> bool:
    share = settings.max_area_share
    return share is not None and area_px >= share * photo_px
