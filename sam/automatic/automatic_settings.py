"""How automatic masks are looked for and which are kept: settings, presets, a quality slider."""

from __future__ import annotations

from dataclasses import dataclass, replace

ADVISED_QUALITY = 50.0
"""Where the slider stands at the settings as they are."""
_SUREST_SHARE = 0.8
"""How far towards 1 the slider's upper end moves a threshold: at 1 nothing would be left."""


@dataclass(frozen=True, kw_only=True)
class AutomaticSettings:
    """How to look and what to keep; the defaults are the released generator's.

    points_per_batch: decoded at once; it bounds memory and changes no result.
    mask_nms_iou_thresh: of two masks whose own IoU is larger the worse goes, so only near-equal
    masks suppress each other and a part stays inside its whole; None: boxes alone are compared.
    max_covered_share: a mask of which better ones together cover more than this share goes, so
    parts of a surer whole go too; None keeps them.
    adaptive_grid: ask every second row and column of points first, the others only where no sure
    mask lies yet, by coarse answers; draw only what passes (`sam.survey`).
    full_votes: with the adaptive grid, how many points must answer with a mask for its predicted
    IoU to count in full; with v of them it counts log(1 + v) / log(1 + full_votes). 0: any is full.
    settled_votes: with the adaptive grid, a passing mask that so many points answer with needs no
    further points inside; 0: every point is asked.
    min_contrast_levels: least difference (of 255, in a colour channel) between the mean colours of
    a mask and of the ring around it; 0 keeps masks on plain ground.
    edge_margin_px: how near to an inner crop border a mask is taken as cut off.
    max_area_share: masks covering this share of the image or more are dropped; None keeps them.
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
    mask_nms_iou_thresh: float | None = None
    max_covered_share: float | None = None
    adaptive_grid: bool = False
    full_votes: int = 0
    settled_votes: int = 5
    min_contrast_levels: float = 0.0
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
        if self.mask_nms_iou_thresh is not None and not 0 <= self.mask_nms_iou_thresh <= 1:
            raise ValueError("the IoU of mask NMS lies between 0 and 1")
        if self.max_covered_share is not None and not 0 <= self.max_covered_share <= 1:
            raise ValueError("the share of a mask that is covered lies between 0 and 1")
        if min(self.full_votes, self.settled_votes, self.min_contrast_levels) < 0:
            raise ValueError("votes and contrast cannot be negative")
        if self.full_votes and not self.adaptive_grid:
            raise ValueError("votes are counted with the adaptive grid only")
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


def at_quality(settings: AutomaticSettings, quality: float) -> AutomaticSettings:
    """Move the thresholds of predicted IoU and stability together.

    quality: 0 keeps everything, 50 changes nothing, 100 keeps only the surest.
    Raises ValueError outside 0 to 100.
    """
    if not 0 <= quality <= 100:
        raise ValueError(f"the quality lies between 0 and 100, not {quality:g}")
    share = (quality - ADVISED_QUALITY) / ADVISED_QUALITY
    return replace(
        settings,
        pred_iou_thresh=_moved(settings.pred_iou_thresh, share),
        stability_thresh=_moved(settings.stability_thresh, share),
    )


def _moved(threshold: float, share: float) -> float:
    """Move a threshold towards 0 (share -1) or most of the way to 1 (share 1)."""
    if share < 0:
        return min(threshold, threshold * (1 + share))
    return max(threshold, threshold + (1 - threshold) * _SUREST_SHARE * share)
