"""The three stages as a track, and where a lead may go from the current one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from annotator_ui.features.projects.figures import Figure, stage_list
from engine.domain.stages import ORDER, STAGE_SPECS, StageKind
from engine.domain.states import StageStatus
from engine.models import EngineStage
from engine.selectors.progress import ProjectFigures


@dataclass(frozen=True, slots=True, kw_only=True)
class StageCard:
    """`state` is current, closed (a visit of it is over) or next."""

    kind: str
    title: str
    description: str
    state: str
    draining: bool
    figures: Sequence[Figure]


@dataclass(frozen=True, slots=True, kw_only=True)
class StageMoves:
    """Titles are empty where there is nowhere to go."""

    next_title: str
    previous_title: str
    exit_blockers: Sequence[str]
    is_draining: bool
    draining_to: str


def stage_cards(figures: ProjectFigures, *, active: EngineStage | None) -> list[StageCard]:
    """One card a kind of stage, with the figures of its last visit."""
    last_visit = {one.stage.kind: one for one in figures.stages}
    cards = []
    for kind in ORDER:
        visit = last_visit.get(kind)
        is_current = active is not None and active.kind == kind
        cards.append(
            StageCard(
                kind=kind.value,
                title=STAGE_SPECS[kind].title,
                description=STAGE_SPECS[kind].description,
                state="current" if is_current else ("closed" if visit else "next"),
                draining=is_current and active.status == StageStatus.DRAINING if active else False,
                figures=stage_list(visit.figures) if visit else [],
            )
        )
    return cards


def moves(figures: ProjectFigures, *, active: EngineStage | None) -> StageMoves:
    """Where a lead may go next, and what usually should be there first."""
    position = ORDER.index(StageKind(active.kind)) if active else 0
    is_draining = active is not None and active.status == StageStatus.DRAINING
    is_last = position == len(ORDER) - 1
    return StageMoves(
        next_title="" if is_last or is_draining else STAGE_SPECS[ORDER[position + 1]].title,
        previous_title=""
        if position == 0 or is_draining
        else STAGE_SPECS[ORDER[position - 1]].title,
        exit_blockers=figures.exit_blockers,
        is_draining=is_draining,
        draining_to=STAGE_SPECS[active.next_kind].title if active and is_draining else "",
    )
