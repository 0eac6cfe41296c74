"""Segment everything: a grid of points, three masks each, filtered to the confident and stable.

Steps and numbers: paper section B and the released SamAutomaticMaskGenerator; with the adaptive
grid, `survey` says first which points and masks are worth the work.
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
from sam.automatic.automatic_settings import PAPER_ENGINE, RELEASED, AutomaticSettings
from sam.automatic.coarse_grid import Survey, rank_score, vote_weight
from sam.automatic.contrast import Surroundings
from sam.coordinates import Frame, as_tensor
from sam.crop_boxes import CropBox, every_second, grid_points, make_crop_boxes, touches_inner_edge
from sam.modeling.features import ImageFeatures
from sam.modeling.mask_decoder import NUM_AMBIGUOUS
from sam.modeling.model import Sam, check_image, image_hw_of
from sam.nms import box_nms, mask_nms, uncovered
from sam.prompting.upscale import Upscaler
from sam.prompts import Prompts

__all__ = [
    "PAPER_ENGINE",
    "RELEASED",
    "AutomaticMask",
    "AutomaticSettings",
    "generate",
    "stability_score",
]

Progress = Callable[[float, str], None]


@dataclass(frozen=True, slots=True)
class AutomaticMask:
    """One mask in the image's frame, with the point and crop it came from.

    votes: how many of the points asked answer with it; 1 where votes are not counted.
    """

    rle: Rle
    predicted_iou: float
    stability_score: float
    crop_box_xywh_px: tuple[int, int, int, int]
    point_xy_px: tuple[float, float]
    bbox_xywh_px: tuple[int, int, int, int]
    area_px: int
    votes: int = 1

    def weighed_iou(self, settings: AutomaticSettings) -> float:
        """Return what the threshold of predicted IoU is compared with: votes may lower it."""
        return self.predicted_iou * float(vote_weight(torch.tensor(self.votes), settings))


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

    features: of the whole image, when already encoded. Equal input gives equal output on the same
    machine with the same number of threads; another number sums in another order, and a mask at a
    threshold may come or go. points_per_batch changes nothing.
    Raises ImageError when the array is no image.
    """
    check_image(image_hwc_u8)
    model.eval()
    image_hw = image_hw_of(image_hwc_u8)
    crops = make_crop_boxes(
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
        found += _suppress_alike(_suppress(in_crop, settings.nms_iou_thresh), settings)
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

    rank: by what it is ranked within its crop. logits: (S, S) low-resolution, in the crop's frame.
    box_xyxy_px: first and last column and row inside, in the image's frame.
    """

    crop: CropBox
    upscaler: Upscaler
    logits: Tensor
    predicted_iou: float
    stability_score: float
    votes: int
    rank: float
    point_xy_px: tuple[float, float]
    box_xyxy_px: tuple[int, int, int, int]
    area_px: int

    def paint(self, image_hw: tuple[int, int]) -> AutomaticMask:
        """Draw the mask in the image's frame."""
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
            self.votes,
        )


def _candidates_of_crop(
    model: Sam,
    image_hwc_u8: NDArray[np.uint8],
    crop: CropBox,
    settings: AutomaticSettings,
    features: ImageFeatures | None,
) -> Iterator[tuple[int, list[_Candidate]]]:
    """Yield the number of points answered so far and the masks that pass."""
    pixels = np.ascontiguousarray(image_hwc_u8[crop.rows, crop.columns])
    if features is None:
        features = model.encode(model.preprocess(pixels))
    else:
        features = features.to(device=model.device, dtype=torch.float32)
    generator = _CropGenerator(model, features, crop, image_hw_of(image_hwc_u8), settings, pixels)
    side = settings.points_in_layer(crop.layer)
    grid = grid_points(side)
    band, num_bands = settings.band
    in_band = np.floor(grid[:, 1] * num_bands) == band
    points = (grid * np.array([crop.width_px, crop.height_px]))[in_band]
    step = settings.points_per_batch
    if not settings.adaptive_grid:
        for start in range(0, len(points), step):
            batch = points[start : start + step]
            yield start + len(batch), generator.candidates_at(batch)
        return
    survey = generator.survey()
    is_first = every_second(side).ravel()[in_band]
    for done in survey.ask(points, is_first, (crop.width_px, crop.height_px)):
        yield done, []
    pick = survey.pick()
    for start in range(0, len(pick.points_xy), step):
        part = pick.rows(slice(start, start + step))
        yield len(points), generator.candidates_at(part.points_xy, part.votes)


class _CropGenerator:
    """One encoded crop and what to keep from it."""

    def __init__(
        self,
        model: Sam,
        features: ImageFeatures,
        crop: CropBox,
        image_hw: tuple[int, int],
        settings: AutomaticSettings,
        pixels_hwc_u8: NDArray[np.uint8],
    ) -> None:
        self.model, self.features, self.crop = model, features, crop
        self.image_hw, self.settings = image_hw, settings
        self.frame = Frame((crop.height_px, crop.width_px), model.config.image_size_px)
        self.upscaler = Upscaler(
            self.frame, low_res_size=model.config.low_res_size, device=model.device
        )
        self.surroundings: Surroundings | None = None
        if settings.min_contrast_levels:
            normal = model.preprocess(pixels_hwc_u8)[0]  # dim images brightened, as it sees them
            self.surroundings = Surroundings.of(
                normal * model.pixel_std + model.pixel_mean,
                input_hw=self.frame.input_hw,
                low_res_size=model.config.low_res_size,
            )

    def survey(self) -> Survey:
        """Begin to ask coarsely."""
        return Survey(
            self.model,
            self.features,
            input_hw=self.frame.input_hw,
            settings=self.settings,
            to_prompts=self._to_prompts,
        )

    def candidates_at(
        self, points_xy: NDArray[np.float64], votes: Tensor | None = None
    ) -> list[_Candidate]:
        """Prompt with (M, 2) points; measure only what the model itself trusts.

        votes: (M, 3) of each ambiguity mask, 0 for those that are not wanted; None wants them all.
        """
        settings, thresh = self.settings, self.settings.pred_iou_thresh
        prompts = self._to_prompts(points_xy)
        decoded = self.model.decode(self.features, prompts, min_iou=thresh)
        assert decoded.rows is not None
        rows = decoded.rows
        iou = decoded.predicted_iou[:, 1:].flatten()
        if votes is None:
            votes = torch.ones(len(points_xy), NUM_AMBIGUOUS, dtype=torch.int64)
        own_votes = votes.to(rows.device)[rows].flatten()
        is_trusted = (iou * vote_weight(own_votes, settings) > thresh) & (own_votes > 0)
        trusted = is_trusted.nonzero().flatten()
        if not len(trusted):
            return []
        logits = decoded.low_res_logits[:, 1:].flatten(0, 1)[trusted]
        found = self.upscaler.measure(logits, offset=settings.stability_offset_logit)
        point_rows = rows.repeat_interleave(NUM_AMBIGUOUS)[trusted]
        stability = found.stability
        is_kept = (stability >= settings.stability_thresh) & (found.area > 0)
        if self.surroundings is not None:
            is_kept &= self.surroundings.contrast(logits > 0) >= settings.min_contrast_levels
        # One transfer from the device for all masks, not one for each.
        counts = [point_rows, own_votes[trusted], found.area, *found.box_xyxy.unbind(1)]
        figures = torch.stack(counts, dim=1).tolist()
        rank = rank_score(iou[trusted], own_votes[trusted], settings)
        floats = [iou[trusted], stability, rank]
        scores = torch.stack([column.float() for column in floats], dim=1).tolist()
        candidates: list[_Candidate] = []
        for row in is_kept.nonzero().flatten().tolist():
            point, num_votes, area, *box = figures[row]
            predicted_iou, stability_score, ranking = scores[row]
            x0, y0, x1, y1 = self._in_image(box)
            if self._is_dropped((x0, y0, x1, y1), area):
                continue
            xy = points_xy[point]
            candidates.append(
                _Candidate(
                    self.crop,
                    self.upscaler,
                    logits[row].clone(),  # not a view that keeps the whole batch alive
                    predicted_iou,
                    stability_score,
                    num_votes,
                    ranking,
                    (float(xy[0]) + self.crop.x_px, float(xy[1]) + self.crop.y_px),
                    (x0, y0, x1, y1),
                    area,
                )
            )
        return candidates

    def _to_prompts(self, points_xy: NDArray[np.float64]) -> Prompts:
        device = self.model.device
        coords = as_tensor(self.frame.to_model(points_xy), device=device)
        labels = torch.ones(len(points_xy), 1, dtype=torch.int64, device=device)
        return Prompts.make(coords[:, None], labels)

    def _in_image(self, box_xyxy: Sequence[int]) -> tuple[int, int, int, int]:
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
    """Drop near-equal boxes: by rank (predicted IoU), area, then order; or crop size, then order.

    Crops of one size keep their order, as the reference's stable sort leaves it.
    """

    def rank(index: int) -> tuple[float, float, int]:
        mask = masks[index]
        if prefer_small_crops:
            return (mask.crop.width_px * mask.crop.height_px, 0.0, index)
        return (-mask.rank, -mask.area_px, index)

    ranked = [masks[index] for index in sorted(range(len(masks)), key=rank)]
    return [ranked[i] for i in _kept([mask.box_xyxy_px for mask in ranked], iou_thresh)]


def _suppress_alike(ranked: list[_Candidate], settings: AutomaticSettings) -> list[_Candidate]:
    """Drop near-equal masks of one crop, best first, and those that better ones cover."""
    thresh, share = settings.mask_nms_iou_thresh, settings.max_covered_share
    if not ranked or (thresh is None and share is None):
        return ranked
    masks = torch.stack([candidate.logits > 0 for candidate in ranked]).cpu().numpy()
    kept = np.arange(len(ranked)) if thresh is None else mask_nms(masks, thresh)
    if share is not None:
        kept = kept[uncovered(masks[kept], share)]
    return [ranked[i] for i in kept]


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


def _is_huge(area_px: int, image_px: int, settings: AutomaticSettings) -> bool:
    share = settings.max_area_share
    return share is not None and area_px >= share * image_px
