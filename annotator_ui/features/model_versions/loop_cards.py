"""The models' half of the loop page: plans, live curves, quality by version, decisions."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db.models import Q
from django.utils import timezone

from annotator_ui.charts import Chart, Value, curve_chart, version_chart
from annotator_ui.features.jobs.rows import rows_of
from annotator_ui.progress import ago
from annotator_ui.wording import FAMILIES, TRAINS, tone
from engine.domain import gate
from engine.domain.promotion import GATE_KEY
from engine.domain.schedule import PlanState
from engine.domain.states import ModelFamily, ModelVersionStatus
from engine.models import Evaluation, Job, ModelVersion, Project, StateChange
from engine.models.job import LIVE
from engine.selectors.models import for_project, previous_version
from engine.selectors.retraining import plan_for
from engine.services.models.model_versions import promotion_blockers

NUM_DECISIONS = 8
PLAN_TONES = {
    PlanState.RUNNING: "busy",
    PlanState.BLOCKED: "warn",
    PlanState.DUE: "good",
    PlanState.WAITING: "",
    PlanState.OFF: "",
}
SHOWN_METRICS: Mapping[str, Mapping[str, str]] = {
    ModelFamily.SAM: {"clicks_1": "1 click", "clicks_3": "3 clicks", "clicks_5": "5 clicks"},
    ModelFamily.OBJECT_DETECTOR: {"recall_50_at_100": "box recall"},
}
SHIPPED = "shipped"


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveJob:
    id: UUID
    title: str
    progress_pct: float
    progress_line: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FamilyCard:
    """A family's schedule, what is being trained, and what a lead may do."""

    family: str
    title: str
    retrain_label: str
    serving: str
    plan: str
    plan_state: str
    plan_tone: str
    sizes: Sequence[tuple[str, str]]
    job: LiveJob | None
    failure: str
    roll_back_to: str
    curve_title: str
    loss: Chart | None
    iou: Chart | None
    quality: Chart | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeRow:
    """Candidate against the model it was measured against, on the same masks."""

    what: str
    change: str
    interval: str
    direction: str
    num_masks: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    id: UUID
    family: str
    title: str
    status: str
    tone: str
    trained_on: str
    asked: str
    outcome: str
    reasons: Sequence[str]
    changes: Sequence[ChangeRow]
    is_failure: bool


def family_cards(project: Project) -> list[FamilyCard]:
    """One card a family."""
    versions = list(for_project(project).select_related("snapshot", "curve"))
    return [
        _card(project, ModelFamily(family), [one for one in versions if one.family == family])
        for family in FAMILIES
    ]


def decisions(project: Project) -> list[Decision]:
    """What became of the last candidates, newest first, and why.

    Of shipped models those that a lead asked for, but not the detectors that came with them.
    """
    versions = list(
        for_project(project)
        .filter(Q(snapshot__isnull=False) | Q(family=ModelFamily.SAM, requested_by__isnull=False))
        .select_related("snapshot", "requested_by")
        .order_by("-created_at")[:NUM_DECISIONS]
    )
    changes: dict[UUID, list[StateChange]] = {}
    found = StateChange.objects.filter(subject_id__in=[one.pk for one in versions])
    for change in found.select_related("actor").order_by("created_at", "id"):
        changes.setdefault(change.subject_id, []).append(change)
    return [_decision(one, changes.get(one.pk, [])) for one in versions]


def _card(project: Project, family: ModelFamily, versions: list[ModelVersion]) -> FamilyCard:
    words = FAMILIES[family]
    plan = plan_for(project, family=family)
    serving = next((one for one in versions if one.status == ModelVersionStatus.SERVING), None)
    earlier = previous_version(project, family=family)
    newest = versions[0] if versions else None
    drawn = next((one for one in versions if hasattr(one, "curve") and one.curve.points), None)
    failed = newest is not None and newest.status == ModelVersionStatus.FAILED
    return FamilyCard(
        family=family.value,
        title=words.title,
        retrain_label=words.retrain_label,
        serving=f"v{serving.number} serves" if serving else "none serves",
        plan=plan.message,
        plan_state=plan.state.value,
        plan_tone=PLAN_TONES[plan.state],
        sizes=list(TRAINS.items()) if family == ModelFamily.SAM else [],
        job=_live_job(project, versions),
        failure=f"Version {newest.number} failed: {newest.error}" if newest and failed else "",
        roll_back_to=f"v{earlier.number}" if earlier else "",
        curve_title=f"v{drawn.number}{_size(drawn)}" if drawn else "",
        loss=_loss(drawn),
        iou=_training_iou(drawn),
        quality=_quality(family, versions),
    )


def _live_job(project: Project, versions: Sequence[ModelVersion]) -> LiveJob | None:
    ids = [str(one.pk) for one in versions]
    live = project.jobs.filter(status__in=LIVE, args__model_version__in=ids)
    kinds = ["train_sam", "evaluate_sam", "train_detector"]
    job: Job | None = live.filter(kind__in=kinds).order_by("created_at").first()
    if job is None:
        return None
    row = rows_of([job], attempts={})[0]
    return LiveJob(
        id=row.id,
        title=f"{row.title} {row.subject}",
        progress_pct=row.progress_pct,
        progress_line=row.progress_line if row.running else row.summary,
    )


def _points(version: ModelVersion | None, key: str) -> list[tuple[float, float]]:
    if version is None:
        return []
    found = [(one.get("step"), one.get(key)) for one in version.curve.points]
    return [(float(x), float(y)) for x, y in found if x is not None and y is not None]


def _loss(version: ModelVersion | None) -> Chart | None:
    loss = _points(version, "loss")
    says = f"Training loss: {loss[0][1]:.3f} at first, {loss[-1][1]:.3f} now" if loss else ""
    return curve_chart({"loss": loss}, says=says, y_title="loss")


def _training_iou(version: ModelVersion | None) -> Chart | None:
    first, last = _points(version, "first_iou"), _points(version, "last_iou")
    says = f"IoU on training masks: first click {first[-1][1]:.2f} now" if first else ""
    lines = {"first prompt": first, "last prompt": last}
    return curve_chart(lines, says=says, y_title="IoU")


def _quality(family: ModelFamily, versions: Sequence[ModelVersion]) -> Chart | None:
    measured = [(one, found) for one in reversed(versions) if (found := _newest(one))]
    values: dict[str, list[Value]] = {}
    for key, name in SHOWN_METRICS[family].items():
        values[name] = [
            value
            for version, evaluation in measured
            if (value := _value(version, evaluation, key=key, name=name)) is not None
        ]
    numbers = [version.number for version, _ in measured]
    lines = [f"{name} {one[-1].y:.3f}" for name, one in values.items() if one]
    says = f"Held-out quality of the newest measured version: {', '.join(lines)}"
    y_title = "mIoU" if family == ModelFamily.SAM else "recall"
    return version_chart(values, says=says, y_title=y_title, numbers=numbers)


def _value(version: ModelVersion, evaluation: Evaluation, *, key: str, name: str) -> Value | None:
    metrics = evaluation.metrics
    found = metrics.get(f"{key}_miou", metrics.get(key))
    if isinstance(found, bool) or not isinstance(found, int | float) or not math.isfinite(found):
        return None
    interval = _interval(metrics.get(f"{key}_ci95"))
    between = f" ({interval[0]:.3f} to {interval[1]:.3f})" if interval else ""
    return Value(
        x=version.number,
        y=float(found),
        interval=interval,
        told=f"v{version.number}, {name}: {found:.3f}{between}, {version.status}",
        is_emphasised=version.status == ModelVersionStatus.SERVING,
    )


def _interval(stored: object) -> tuple[float, float] | None:
    if not isinstance(stored, list | tuple) or len(stored) != 2:
        return None
    if not all(isinstance(one, int | float) and math.isfinite(one) for one in stored):
        return None
    return float(stored[0]), float(stored[1])


def _newest(version: ModelVersion) -> Evaluation | None:
    return max(version.evaluations.all(), key=lambda one: one.created_at, default=None)


def _decision(version: ModelVersion, changes: Sequence[StateChange]) -> Decision:
    words, now = FAMILIES[version.family], timezone.now()
    who = version.requested_by.username if version.requested_by else "the schedule"
    last = changes[-1] if changes else None
    snapshot = version.snapshot
    return Decision(
        id=version.pk,
        family=version.family,
        title=f"{words.title} v{version.number}",
        status=version.status,
        tone=tone(version.status),
        trained_on=(
            f"{snapshot.num_masks} masks on {snapshot.num_images} images{_size(version)}"
            if snapshot
            else SHIPPED
        ),
        asked=f"{who}, {ago(version.created_at, now=now)}: {version.trigger or 'no reason given'}",
        outcome=_outcome(last, now=now) if last else "",
        reasons=_reasons(version),
        changes=_changes(version),
        is_failure=version.status == ModelVersionStatus.FAILED,
    )


def _size(version: ModelVersion) -> str:
    """How much of a SAM learns; a detector is always trained whole."""
    if version.family != ModelFamily.SAM:
        return ""
    return f", {TRAINS[version.trainable].lower()}"


def _outcome(change: StateChange, *, now: datetime) -> str:
    who = change.actor.username if change.actor else "Segloop"
    said = f": {change.reason}" if change.reason and change.to_state == "serving" else ""
    return f"{change.to_state} by {who}, {ago(change.created_at, now=now)}{said}"


def _reasons(version: ModelVersion) -> list[str]:
    if version.error:
        return [version.error]
    if version.status in (ModelVersionStatus.EVALUATED, ModelVersionStatus.REJECTED):
        return promotion_blockers(version)
    return []


def _changes(version: ModelVersion) -> list[ChangeRow]:
    evaluation = _newest(version)
    if evaluation is None or version.family != ModelFamily.SAM:
        return []
    try:
        report = gate.read_report(evaluation.metrics.get(GATE_KEY))
    except gate.ReportError:
        return []
    found = [(words, report.differences.get(kind)) for kind, words in gate.KINDS.items()]
    found += [(name, one) for name, one in report.slices.items()]
    return [_change(what, one) for what, one in found if one is not None]


def _change(what: str, one: gate.ReportedDifference) -> ChangeRow:
    is_sure = one.low > 0 or one.high < 0
    return ChangeRow(
        what=what,
        change=f"{one.mean:+.3f}",
        interval=f"{one.low:+.3f} to {one.high:+.3f}",
        direction=("up" if one.mean > 0 else "down") if is_sure else "",
        num_masks=one.num_masks,
    )
