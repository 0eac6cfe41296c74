"""What a lead reads about each number of the policy, and between which bounds it lies. A table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Group(StrEnum):
    RETRAINING = "retraining"
    LEAVING = "leaving"
    MACHINE_MASKS = "machine_masks"
    GATE = "gate"
    WORK = "work"


GROUP_TITLES: Mapping[Group, str] = {
    Group.RETRAINING: "Retraining",
    Group.LEAVING: "Leaving the stage",
    Group.MACHINE_MASKS: "Masks made by machine",
    Group.GATE: "Promotion",
    Group.WORK: "Work",
}
"""In the order in which a lead looks for them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyField:
    """`low` and `high` are allowed too. is_fixed: what it decides is decided for good."""

    group: Group
    title: str
    low: float
    high: float
    is_whole: bool = False
    is_fixed: bool = False


def _count(group: Group, title: str, *, low: int = 0, high: int = 10_000_000) -> PolicyField:
    return PolicyField(group=group, title=title, low=low, high=high, is_whole=True)


def _share(group: Group, title: str) -> PolicyField:
    return PolicyField(group=group, title=title, low=0, high=1)


def _number(group: Group, title: str, *, low: float, high: float) -> PolicyField:
    return PolicyField(group=group, title=title, low=low, high=high)


_R, _L, _M, _G, _W = Group

FIELDS: Mapping[str, PolicyField] = {
    "retrain_first_masks": _count(_R, "First retraining after so many confirmed masks", low=2),
    "retrain_every_masks": _count(_R, "Then every so many new masks (0: not by number)"),
    "retrain_growth": _number(
        _R, "Or when masks have grown by this factor (0: not)", low=0, high=100
    ),
    "retrain_every_hours": _number(
        _R, "Or every so many hours, if masks are new (0: not)", low=0, high=8_760
    ),
    "low_rank_min_masks": _count(
        _R, "From so many masks on, train low-rank adapters of the encoder too (0: never)"
    ),
    "full_min_masks": _count(_R, "From so many masks on, train the whole model (0: never)"),
    "exit_min_masks": _count(_L, "Confirmed masks of the project"),
    "exit_min_images": _count(_L, "Images with a confirmed mask"),
    "exit_min_promoted": _count(_L, "Retrained models promoted in this stage", high=1_000),
    "exit_min_masks_per_image": _number(
        _L, "Masks per image in this stage (0: not asked)", low=0, high=10_000
    ),
    "exit_max_seconds_fall_fraction": _share(
        _L, "Seconds per mask fall by at most this share (1: not asked)"
    ),
    "exit_min_accept_fraction": _share(
        _L, "Share of reviewed machine masks that people keep (0: not asked)"
    ),
    "exit_min_audit_fraction": _share(
        _L, "Share of audited machine masks above the audit IoU (0: not asked)"
    ),
    "audit_min_iou": _share(_L, "Audit IoU: machine's mask against what people made of it"),
    "plateau_window_masks": _count(_L, "Masks in each of the two stretches compared", low=2),
    "min_reviewed_masks": _count(_L, "Reviewed masks before a share is believed", low=1),
    "back_max_accept_fraction": _share(
        _L, "Below this share of masks kept, going back is recommended"
    ),
    "min_predicted_iou": _share(_M, "Automatic: least predicted IoU"),
    "min_stability_score": _share(_M, "Automatic: least stability"),
    "prefill_min_predicted_iou": _share(_M, "Prefilled: least predicted IoU"),
    "prefill_min_stability_score": _share(_M, "Prefilled: least stability"),
    "max_area_fraction": _share(_M, "Largest share of the image"),
    "min_area_px": _count(_M, "Smallest area, pixels"),
    "duplicate_iou": _share(_M, "IoU from which a mask is a duplicate"),
    "promotion_tolerance": _share(_G, "How much worse still counts as equal, mIoU"),
    "promotion_max_worse_fraction": _share(_G, "Share of bootstrap draws that may say worse"),
    "promotion_slice_tolerance": _share(_G, "How much a slice may lose, mIoU"),
    "promotion_min_slice_masks": _count(_G, "Held-out masks that make a slice"),
    "promotion_max_latency_ratio": _number(
        _G, "Times the serving model's latency", low=0.01, high=1_000
    ),
    "promotion_max_empty_fraction": _share(_G, "Share of first clicks that may give no mask"),
    "promotion_min_hit_fraction": _share(_G, "Share of masks that must hold the click"),
    "lease_s": _number(_W, "Seconds until an untouched image goes back", low=30, high=86_400),
    "holdout_every": PolicyField(
        group=_W, title="One of so many images is held out", low=1, high=1_000, is_fixed=True
    ),
    "holdout_first": PolicyField(
        group=_W, title="The first held-out image", low=1, high=1_000, is_fixed=True
    ),
}
