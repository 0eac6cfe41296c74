"""The loop page of a lead: how the stage stands, what is trained, what it brought, the numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from annotator_ui.features.loop.stage_track import StageMoves, moves
from annotator_ui.features.model_versions.loop_cards import (
    Decision,
    FamilyCard,
    decisions,
    family_cards,
)
from annotator_ui.http.guard import domain_errors_as_pages
from annotator_ui.http.lookups import project_by_slug
from annotator_ui.http.permissions import actor_of, signed_in_page
from annotator_ui.live import figures_of, revision_of
from annotator_ui.wording import NOTHING, VERDICTS, WAYS, decimal
from engine.domain.criteria import Criterion
from engine.domain.policy_fields import FIELDS, GROUP_TITLES
from engine.domain.roles import Permission
from engine.domain.stages import STAGE_SPECS, StageKind, default_policy
from engine.models import EngineStage, Project, StateChange
from engine.selectors import models as version_rows
from engine.selectors.progress import VersionFigures
from engine.selectors.stages import active_stage, stage_policy
from engine.services.projects.policies import SUBJECT

NUM_CHANGES = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class CriterionRow:
    key: str
    title: str
    current: str
    target: str
    verdict: str
    says: str
    tone: str
    missing: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CostBar:
    """What a mask cost people with one model. Widths are percentages of the dearest."""

    model: str
    num_masks: int
    masks_per_image: str
    seconds: str
    seconds_pct: float
    clicks: str
    clicks_pct: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyNumber:
    name: str
    title: str
    value: str
    default: str
    is_changed: bool
    low: float
    high: float
    step: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyGroup:
    title: str
    numbers: Sequence[PolicyNumber]


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryRow:
    when: datetime
    who: str
    what: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopPage:
    project: Project
    revision: str
    warnings: Sequence[str]
    stage_title: str
    stage_says: str
    stage_facts: Sequence[tuple[str, str]]
    recommendation: str
    recommendation_tone: str
    recommendation_reasons: Sequence[str]
    criteria: Sequence[CriterionRow]
    moves: StageMoves
    families: Sequence[FamilyCard]
    costs: Sequence[CostBar]
    decisions: Sequence[Decision]
    policy: Sequence[PolicyGroup]
    history: Sequence[HistoryRow]


@require_safe
@signed_in_page
@domain_errors_as_pages
def loop(request: HttpRequest, slug: str) -> HttpResponse:
    """Show the loop of a project to its leads."""
    project = project_by_slug(actor_of(request), slug, to=Permission.SEE_JOBS)
    return render(request, "annotator_ui/loop/page.html", {"page": build(project)})


def build(project: Project) -> LoopPage:
    """Gather the page. About forty queries, whatever the size of the project."""
    stage = active_stage(project)
    revision = revision_of(project)
    figures = figures_of(project, revision=revision)
    evaluation = figures.evaluation
    way = WAYS[evaluation.recommendation.action] if evaluation else WAYS["stay"]
    return LoopPage(
        project=project,
        revision=revision,
        warnings=version_rows.missing_parts(project),
        stage_title=STAGE_SPECS[stage.kind].title if stage else "No stage is open",
        stage_says=STAGE_SPECS[stage.kind].description if stage else "",
        stage_facts=_facts(stage),
        recommendation=way.title,
        recommendation_tone=way.tone,
        recommendation_reasons=evaluation.recommendation.reasons if evaluation else [],
        criteria=[criterion_row(one) for one in evaluation.criteria] if evaluation else [],
        moves=moves(figures, active=stage),
        families=family_cards(project),
        costs=cost_bars(figures.figures.by_model_version),
        decisions=decisions(project),
        policy=_policy(stage),
        history=_history(project),
    )


def criterion_row(one: Criterion) -> CriterionRow:
    """Write a target and its figure as a lead reads them."""
    words = VERDICTS[one.verdict]
    target = _figure(one.target, is_share=one.is_share)
    return CriterionRow(
        key=one.key,
        title=one.title,
        current=NOTHING if one.current is None else _figure(one.current, is_share=one.is_share),
        target=f"{'at most' if one.is_at_most else 'at least'} {target}",
        verdict=one.verdict.value,
        says=words.title,
        tone=words.tone,
        missing=one.missing,
    )


def cost_bars(by_version: Sequence[VersionFigures]) -> list[CostBar]:
    """One row a model version people worked with, with bars to compare by eye."""
    most_seconds = max((one.seconds_per_mask or 0 for one in by_version), default=0) or 1
    most_clicks = max((one.clicks_per_mask or 0 for one in by_version), default=0) or 1
    return [
        CostBar(
            model="without a model" if one.number is None else f"SAM v{one.number}",
            num_masks=one.num_masks,
            masks_per_image=decimal(one.masks_per_image, 1),
            seconds=decimal(one.seconds_per_mask, 1, " s"),
            seconds_pct=round(100 * (one.seconds_per_mask or 0) / most_seconds, 1),
            clicks=decimal(one.clicks_per_mask, 1),
            clicks_pct=round(100 * (one.clicks_per_mask or 0) / most_clicks, 1),
        )
        for one in by_version
    ]


def _figure(value: float, *, is_share: bool) -> str:
    if is_share:
        return f"{100 * value:.0f} %"
    return f"{value:.0f}" if value == int(value) else f"{value:.1f}"


def _facts(stage: EngineStage | None) -> list[tuple[str, str]]:
    if stage is None:
        return []
    spec = STAGE_SPECS[StageKind(stage.kind)]
    return [
        ("Proposes", spec.proposes),
        ("Confirms", spec.confirms),
        ("Queue", QUEUE_WORDS[spec.queue_order]),
    ]


QUEUE_WORDS: Mapping[str, str] = {
    "unlabelled_first": "images without a mask first, then the oldest",
    "prefilled_first": "prefilled images first, then the oldest",
}


def _policy(stage: EngineStage | None) -> list[PolicyGroup]:
    if stage is None:
        return []
    numbers = stage_policy(stage).to_json()
    defaults = default_policy(StageKind(stage.kind)).to_json()
    groups = []
    for group, title in GROUP_TITLES.items():
        names = [n for n, one in FIELDS.items() if one.group == group and not one.is_fixed]
        rows = [_number(name, numbers[name], defaults[name]) for name in names]
        groups.append(PolicyGroup(title=title, numbers=rows))
    return groups


def _number(name: str, value: float, default: float) -> PolicyNumber:
    field = FIELDS[name]
    return PolicyNumber(
        name=name,
        title=field.title,
        value=f"{value:.10g}",
        default=f"{default:.10g}",
        is_changed=value != default,
        low=field.low,
        high=field.high,
        step="1" if field.is_whole else "any",
    )


def _history(project: Project) -> list[HistoryRow]:
    """Moves of the stages and changes of their numbers, newest first."""
    title_of = {
        stage.pk: STAGE_SPECS[stage.kind].title if stage.kind in STAGE_SPECS else stage.kind
        for stage in project.stages.all()
    }
    changes = (
        StateChange.objects.filter(
            subject_type__in=["enginestage", SUBJECT], subject_id__in=list(title_of)
        )
        .select_related("actor")
        .order_by("-created_at", "-id")[:NUM_CHANGES]
    )
    return [_history_row(change, title=title_of[change.subject_id]) for change in changes]


def _history_row(change: StateChange, *, title: str) -> HistoryRow:
    if change.subject_type == SUBJECT:
        what = f"{title}: numbers changed"
    else:
        what = f"{title}: {change.from_state} to {change.to_state}"
    who = change.actor.username if change.actor else "Segloop"
    return HistoryRow(when=change.created_at, who=who, what=what, why=change.reason)
