"""The three stages of the data engine (paper section 4) as a table, and when to leave each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from engine.domain.errors import Conflict


class StageKind(StrEnum):
    ASSISTED_MANUAL = "assisted_manual"
    SEMI_AUTOMATIC = "semi_automatic"
    FULLY_AUTOMATIC = "fully_automatic"


@dataclass(frozen=True, slots=True, kw_only=True)
class StageSpec:
    """What happens in a stage and what a lead should have before leaving it."""

    title: str
    proposes: str
    confirms: str
    min_masks: int
    """Confirmed masks of the project; small, so that a demonstration can turn the whole loop."""
    min_images: int
    """Images with at least one confirmed mask; two are the least that give both sides."""
    needs_retrained_sam: bool = False


SPECS: Mapping[StageKind, StageSpec] = {
    StageKind.ASSISTED_MANUAL: StageSpec(
        title="Assisted manual",
        proposes="the annotator's clicks",
        confirms="the annotator",
        min_masks=8,
        min_images=2,
        needs_retrained_sam=True,
    ),
    StageKind.SEMI_AUTOMATIC: StageSpec(
        title="Semi-automatic",
        proposes="the object detector's boxes, and the annotator's clicks",
        confirms="the annotator",
        min_masks=16,
        min_images=4,
        needs_retrained_sam=True,
    ),
    StageKind.FULLY_AUTOMATIC: StageSpec(
        title="Fully automatic",
        proposes="a grid of clicks over every image",
        confirms="nobody",
        min_masks=0,
        min_images=0,
    ),
}
ORDER = tuple(SPECS)

MIN_MASKS_FOR_DETECTOR = 8
"""Fewer confirmed masks than this teach a detector nothing; the starter detector serves on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StageReadiness:
    """What a project has when its lead wants to leave a stage."""

    num_confirmed_masks: int
    num_labelled_images: int
    num_promoted_retrains: int


def following(kind: StageKind) -> StageKind:
    """Return the next stage; Conflict at the last one."""
    if kind == ORDER[-1]:
        raise Conflict("the fully automatic stage is the last one", code="last_stage")
    return ORDER[ORDER.index(kind) + 1]


def preceding(kind: StageKind) -> StageKind:
    """Return the stage before; Conflict at the first one."""
    if kind == ORDER[0]:
        raise Conflict("the assisted manual stage is the first one", code="first_stage")
    return ORDER[ORDER.index(kind) - 1]


def exit_blockers(kind: StageKind, readiness: StageReadiness) -> list[str]:
    """Say what is still missing before leaving the stage; a lead may overrule with a reason."""
    spec = SPECS[kind]
    blockers = []
    if readiness.num_confirmed_masks < spec.min_masks:
        blockers.append(
            f"{readiness.num_confirmed_masks} of {spec.min_masks} confirmed masks are there"
        )
    if readiness.num_labelled_images < spec.min_images:
        blockers.append(
            f"{readiness.num_labelled_images} of {spec.min_images} images have a confirmed mask"
        )
    if spec.needs_retrained_sam and readiness.num_promoted_retrains == 0:
        blockers.append("no retrained model has been promoted yet")
    return blockers
