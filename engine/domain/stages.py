"""The three stages of the data engine (paper section 4) as a table.

Numbers in which a stage differs from the policy's defaults stand here; when to leave one is
decided in criteria.py, when a model is retrained in schedule.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from engine.domain.errors import Conflict
from engine.domain.policy import DEFAULT_POLICY, Policy
from engine.domain.policy_fields import FIELDS, Group


class StageKind(StrEnum):
    ASSISTED_MANUAL = "assisted_manual"
    SEMI_AUTOMATIC = "semi_automatic"
    FULLY_AUTOMATIC = "fully_automatic"


class QueueOrder(StrEnum):
    """Which image the next annotator gets; within each, the oldest first."""

    UNLABELLED_FIRST = "unlabelled_first"
    PREFILLED_FIRST = "prefilled_first"  # a person turns proposals into masks


class Prefill(StrEnum):
    """Who proposes masks before a person opens the image."""

    NOBODY = "nobody"
    DETECTOR = "detector"
    GRID = "grid"


@dataclass(frozen=True, slots=True, kw_only=True)
class StageSpec:
    """What happens in a stage. `own`: its numbers where they are not the policy's defaults."""

    title: str
    description: str
    """What happens in it, in one sentence for annotators and leads."""
    proposes: str
    confirms: str
    queue_order: QueueOrder
    prefill: Prefill
    own: Mapping[str, float] = field(default_factory=dict)


STAGE_SPECS: Mapping[str, StageSpec] = {
    StageKind.ASSISTED_MANUAL: StageSpec(
        title="Assisted manual",
        description="Annotators click; the model turns clicks into masks.",
        proposes="the annotator's clicks",
        confirms="the annotator",
        queue_order=QueueOrder.UNLABELLED_FIRST,
        prefill=Prefill.NOBODY,
        # The paper left when a mask took 14 s instead of 34: when the model had stopped saving.
        own={"exit_max_seconds_fall_fraction": 0.1},
    ),
    StageKind.SEMI_AUTOMATIC: StageSpec(
        title="Semi-automatic",
        description="The detector prefills what it is sure of; annotators add the rest.",
        proposes="the object detector's boxes, and the annotator's clicks",
        confirms="the annotator",
        queue_order=QueueOrder.PREFILLED_FIRST,
        prefill=Prefill.DETECTOR,
        own={"exit_min_masks": 16, "exit_min_images": 4, "exit_min_accept_fraction": 0.7},
    ),
    StageKind.FULLY_AUTOMATIC: StageSpec(
        title="Fully automatic",
        description="A grid of clicks over every image; nobody has to label.",
        proposes="a grid of clicks over every image",
        confirms="nobody",
        queue_order=QueueOrder.UNLABELLED_FIRST,
        prefill=Prefill.GRID,
        own={
            "exit_min_masks": 0,
            "exit_min_images": 0,
            "exit_min_promoted": 0,
            "exit_min_audit_fraction": 0.9,
            "retrain_growth": 0,  # nobody adds masks to learn from
        },
    ),
}
ORDER = tuple(StageKind)

MIN_MASKS_FOR_DETECTOR = 8
"""Fewer confirmed masks than this teach a detector nothing; the starter detector serves on."""

OF_A_STAGE = frozenset(
    name for name, one in FIELDS.items() if one.group in (Group.RETRAINING, Group.LEAVING)
)
"""Numbers that belong to one stage; the others go along into the next one."""


def default_policy(kind: StageKind) -> Policy:
    """Return the numbers a stage begins with in a new project."""
    return DEFAULT_POLICY.with_changes(STAGE_SPECS[kind].own)


def policy_of(kind: StageKind, stored: Mapping[str, Any]) -> Policy:
    """Read a stage's stored numbers; those it does not name are the ones the stage begins with."""
    return Policy.from_json({**default_policy(kind).to_json(), **stored})


def policy_on_entry(kind: StageKind, *, leaving: Policy, last_visit: Policy | None) -> Policy:
    """Return the numbers of a stage that is entered from another one.

    leaving: of the stage that is left; its numbers go along, but for those of one stage alone.
    last_visit: of the last visit of this stage; what its lead chose then holds again.
    """
    own = (last_visit or default_policy(kind)).to_json()
    carried = {name: value for name, value in leaving.to_json().items() if name not in OF_A_STAGE}
    return Policy.from_json({**own, **carried})


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
