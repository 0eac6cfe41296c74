"""Whether a stage has what it should have before it is left, and what to do about it.

Figures are gathered by selectors/criteria.py; the targets are numbers of the stage's policy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from engine.domain.policy import Policy
from engine.domain.stages import ORDER, StageKind


class Verdict(StrEnum):
    MET = "met"
    NOT_MET = "not_met"
    UNKNOWN = "not_enough_data"


class StageAction(StrEnum):
    STAY = "stay"
    ADVANCE = "advance"
    BACK = "back"


@dataclass(frozen=True, slots=True, kw_only=True)
class Measures:
    """What one stage visit has brought so far.

    seconds_before, seconds_now: mean seconds a mask took in the last two stretches of
    `plateau_window_masks` masks drawn by people; None until both are full.
    num_reviewed: machine-made masks that a person accepted, changed or rejected; num_kept of them.
    num_audited: machine-made masks that people kept, whose shape is compared with what they made
    of it; num_alike of them at or above the audit IoU.
    """

    num_confirmed_masks: int = 0
    num_labelled_images: int = 0
    num_promoted: int = 0
    masks_per_image: float | None = None
    seconds_before: float | None = None
    seconds_now: float | None = None
    num_timed_masks: int = 0
    num_reviewed: int = 0
    num_kept: int = 0
    num_audited: int = 0
    num_alike: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Criterion:
    """One target. `is_at_most`: the current figure should not exceed it. `missing` says in one
    sentence what is not there yet; empty when it is met."""

    key: str
    title: str
    current: float | None
    target: float
    verdict: Verdict
    missing: str = ""
    is_at_most: bool = False
    is_share: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Recommendation:
    """What a lead might do now, and why, in sentences."""

    action: StageAction
    reasons: Sequence[str]


def criteria_of(measures: Measures, *, policy: Policy) -> list[Criterion]:
    """Check every target that the policy asks for."""
    found = [
        *_counts(measures, policy=policy),
        _masks_per_image(measures, policy=policy),
        _plateau(measures, policy=policy),
        _accepted(measures, policy=policy),
        _audit(measures, policy=policy),
    ]
    return [one for one in found if one is not None]


def exit_blockers(criteria: Sequence[Criterion]) -> list[str]:
    """Say what is missing before the stage is left. What cannot be known yet keeps nobody back."""
    return [one.missing for one in criteria if one.verdict == Verdict.NOT_MET]


def recommend(
    kind: StageKind, criteria: Sequence[Criterion], measures: Measures, *, policy: Policy
) -> Recommendation:
    """Recommend to stay, to advance or to go back. A lead decides."""
    poor = _poor_masks(kind, measures, policy=policy)
    if poor:
        return Recommendation(action=StageAction.BACK, reasons=[poor])
    open_ones = [one.missing for one in criteria if one.verdict != Verdict.MET]
    if open_ones:
        return Recommendation(action=StageAction.STAY, reasons=open_ones)
    if kind == ORDER[-1]:
        return Recommendation(
            action=StageAction.STAY, reasons=["the last stage has all it needs: export the dataset"]
        )
    return Recommendation(action=StageAction.ADVANCE, reasons=["every target of this stage is met"])


def _poor_masks(kind: StageKind, measures: Measures, *, policy: Policy) -> str:
    if kind == ORDER[0] or measures.num_reviewed < policy.min_reviewed_masks:
        return ""
    kept = measures.num_kept / measures.num_reviewed
    if kept >= policy.back_max_accept_fraction:
        return ""
    return (
        f"people keep only {kept:.0%} of the machine's masks (below "
        f"{policy.back_max_accept_fraction:.0%}): more masks drawn by people teach it better"
    )


def _counts(measures: Measures, *, policy: Policy) -> list[Criterion | None]:
    masks, images = measures.num_confirmed_masks, measures.num_labelled_images
    promoted, wanted = measures.num_promoted, policy.exit_min_promoted
    return [
        _count(
            "masks",
            "Confirmed masks",
            masks,
            policy.exit_min_masks,
            f"{masks} of {policy.exit_min_masks} confirmed masks are there",
        ),
        _count(
            "images",
            "Images with a confirmed mask",
            images,
            policy.exit_min_images,
            f"{images} of {policy.exit_min_images} images have a confirmed mask",
        ),
        _count(
            "promoted",
            "Retrained models promoted in this stage",
            promoted,
            wanted,
            f"{promoted} of {wanted} retrained models have been promoted"
            if promoted
            else "no retrained model has been promoted yet",
        ),
    ]


def _count(key: str, title: str, current: int, target: int, missing: str) -> Criterion | None:
    if target <= 0:
        return None
    is_met = current >= target
    return Criterion(
        key=key,
        title=title,
        current=current,
        target=target,
        verdict=Verdict.MET if is_met else Verdict.NOT_MET,
        missing="" if is_met else missing,
    )


def _masks_per_image(measures: Measures, *, policy: Policy) -> Criterion | None:
    target, current = policy.exit_min_masks_per_image, measures.masks_per_image
    if target <= 0:
        return None
    missing = (
        "no image has masks in this stage yet"
        if current is None
        else f"an image has {current:.1f} masks on average, {target:g} are asked for"
    )
    return _criterion("masks_per_image", "Masks per image", current, target, missing)


def _plateau(measures: Measures, *, policy: Policy) -> Criterion | None:
    limit = policy.exit_max_seconds_fall_fraction
    if limit >= 1:
        return None
    before, now = measures.seconds_before, measures.seconds_now
    fall = (before - now) / before if before and now is not None else None
    window = policy.plateau_window_masks
    if fall is None or before is None or now is None:
        missing = (
            f"{measures.num_timed_masks} of {2 * window} timed masks are there "
            "to see whether a mask still gets cheaper"
        )
    else:
        missing = (
            f"a mask still gets cheaper: {before:.1f} s, then {now:.1f} s ({fall:.0%} less); "
            "the model may gain from another round"
        )
    return _criterion(
        "seconds_fall",
        "Fall of seconds per mask",
        fall,
        limit,
        missing,
        is_at_most=True,
        share=True,
    )


def _accepted(measures: Measures, *, policy: Policy) -> Criterion | None:
    target, least = policy.exit_min_accept_fraction, policy.min_reviewed_masks
    if target <= 0:
        return None
    num_reviewed = measures.num_reviewed
    current = measures.num_kept / num_reviewed if num_reviewed >= least else None
    missing = (
        f"{num_reviewed} of {least} masks made by the machine have been reviewed"
        if current is None
        else f"people keep {current:.0%} of the machine's masks, {target:.0%} are asked for"
    )
    return _criterion("accept_rate", "Machine masks kept", current, target, missing, share=True)


def _audit(measures: Measures, *, policy: Policy) -> Criterion | None:
    target, least = policy.exit_min_audit_fraction, policy.min_reviewed_masks
    if target <= 0:
        return None
    audited, iou = measures.num_audited, policy.audit_min_iou
    current = measures.num_alike / audited if audited >= least else None
    missing = (
        f"{audited} of {least} masks made by the machine have been looked over by people"
        if current is None
        else f"{current:.0%} of the machine's masks reach IoU {iou:g} against what people made of "
        f"them, {target:.0%} are asked for"
    )
    return _criterion(
        "audit", f"Audited masks at IoU {iou:g}", current, target, missing, share=True
    )


def _criterion(
    key: str,
    title: str,
    current: float | None,
    target: float,
    missing: str,
    *,
    is_at_most: bool = False,
    share: bool = False,
) -> Criterion:
    if current is None:
        verdict = Verdict.UNKNOWN
    elif (current <= target) if is_at_most else (current >= target):
        verdict = Verdict.MET
    else:
        verdict = Verdict.NOT_MET
    return Criterion(
        key=key,
        title=title,
        current=current,
        target=target,
        verdict=verdict,
        missing="" if verdict == Verdict.MET else missing,
        is_at_most=is_at_most,
        is_share=share,
    )
