"""Tables of model versions: what each measured, against which, and what a lead may do with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from annotator_ui import wording
from annotator_ui.features.model_versions.starter_notice import StarterNotice, starter_notice
from annotator_ui.wording import FAMILIES, NOTHING, FamilyWords
from engine.domain.promotion import GATE_KEY
from engine.domain.states import ModelFamily, ModelVersionStatus
from engine.models import Evaluation, ModelVersion, Project
from engine.selectors import models as version_rows
from engine.services.models.model_versions import promotion_blockers

IN_THE_MAKING = {
    ModelVersionStatus.PENDING: "waiting to be trained",
    ModelVersionStatus.TRAINING: "being trained",
    ModelVersionStatus.TRAINED: "being evaluated",
}
WAITS_FOR_ITS_SAM = "Came with a starter: serves once a SAM of its encoder does"
NOTICEABLE = 0.0005  # half of the last digit shown


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricCell:
    key: str
    value: str
    delta: str = ""
    direction: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionRow:
    """`state`: its status as a lead reads it. `action`: Promote, Roll back or nothing;
    `needs_reason` when the figures speak against it."""

    id: UUID
    number: int
    arch: str
    status: str
    state: str
    tone: str
    trained_on: str
    metrics: Sequence[MetricCell]
    verdict: str
    error: str
    action: str
    action_testid: str
    needs_reason: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class FamilyPanel:
    family: str
    title: str
    caption: str
    empty: str
    retrain_label: str
    retrain_testid: str
    metric_names: Sequence[str]
    serving: int | None
    shipped: str
    versions: Sequence[VersionRow]
    starter: StarterNotice | None


def family_panels(project: Project) -> list[FamilyPanel]:
    """One panel a family, newest version first."""
    versions = list(
        version_rows.for_project(project)
        .select_related("parent", "snapshot")
        .prefetch_related("parent__evaluations")
    )
    return [
        _panel(
            family,
            words,
            versions,
            starter=starter_notice(project) if family == ModelFamily.SAM else None,
        )
        for family, words in FAMILIES.items()
    ]


def _panel(
    family: str,
    words: FamilyWords,
    versions: Sequence[ModelVersion],
    *,
    starter: StarterNotice | None,
) -> FamilyPanel:
    own = [one for one in versions if one.family == family]
    serving = _serving(own)
    return FamilyPanel(
        family=family,
        title=words.title,
        caption=words.caption,
        empty=words.empty,
        retrain_label=words.retrain_label,
        retrain_testid=words.retrain_testid,
        metric_names=[name for _, name in words.metrics],
        serving=serving.number if serving else None,
        shipped=words.shipped if serving is not None and serving.snapshot is None else "",
        versions=[_row(version, words=words, versions=versions) for version in own],
        starter=starter,
    )


def _row(
    version: ModelVersion, *, words: FamilyWords, versions: Sequence[ModelVersion]
) -> VersionRow:
    evaluation = _newest(version)
    blockers = _blockers(version)
    waits = _waits_for_its_sam(version, versions)
    action = "" if waits else _action(version)
    snapshot = version.snapshot
    return VersionRow(
        id=version.pk,
        number=version.number,
        arch=version.arch,
        status=version.status,
        state="waiting" if waits else version.status,
        tone="" if waits else wording.tone(version.status),
        trained_on=(
            f"{snapshot.num_masks} masks, {snapshot.num_images} images" if snapshot else "shipped"
        ),
        metrics=_cells(words, evaluation, _baseline(version, evaluation, versions)),
        verdict=WAITS_FOR_ITS_SAM if waits else _in_words(_verdict(version, blockers), words),
        error=version.error,
        action=action,
        action_testid="rollback-version" if action == "Roll back" else "promote-version",
        needs_reason=bool(action and blockers),
    )


def _newest(version: ModelVersion) -> Evaluation | None:
    return max(version.evaluations.all(), key=lambda one: one.created_at, default=None)


def _baseline(
    version: ModelVersion, evaluation: Evaluation | None, versions: Sequence[ModelVersion]
) -> Mapping[str, float]:
    """What the version it started from, or was to replace, measured on the very same images."""
    if evaluation is None:
        return {}
    before = version.parent or _compared_with(evaluation, versions)
    for other in before.evaluations.all() if before else ():
        if other.snapshot_id == evaluation.snapshot_id:
            return dict(other.metrics)
    return {}


def _compared_with(evaluation: Evaluation, versions: Sequence[ModelVersion]) -> ModelVersion | None:
    report = evaluation.metrics.get(GATE_KEY)
    against = report.get("against") if isinstance(report, Mapping) else None
    return next((one for one in versions if str(one.pk) == against), None)


def _cells(
    words: FamilyWords, evaluation: Evaluation | None, baseline: Mapping[str, float]
) -> list[MetricCell]:
    metrics = evaluation.metrics if evaluation else {}
    return [_cell(key, metrics.get(key), baseline.get(key)) for key, _ in words.metrics]


def _cell(key: str, value: float | None, before: float | None) -> MetricCell:
    if not isinstance(value, int | float):
        return MetricCell(key=key, value=NOTHING)
    if not isinstance(before, int | float):
        return MetricCell(key=key, value=f"{value:.3f}")
    change = value - before
    direction = "" if abs(change) < NOTICEABLE else ("up" if change > 0 else "down")
    return MetricCell(key=key, value=f"{value:.3f}", delta=f"{change:+.3f}", direction=direction)


def _blockers(version: ModelVersion) -> list[str]:
    if version.status in (ModelVersionStatus.EVALUATED, ModelVersionStatus.REJECTED):
        return promotion_blockers(version)
    return []


def _serving(versions: Sequence[ModelVersion]) -> ModelVersion | None:
    return next((one for one in versions if one.status == ModelVersionStatus.SERVING), None)


def _verdict(version: ModelVersion, blockers: Sequence[str]) -> str:
    status = ModelVersionStatus(version.status)
    if version.error:
        return version.error
    if blockers:
        return "Kept back: " + "; ".join(blockers)
    if status in (ModelVersionStatus.EVALUATED, ModelVersionStatus.REJECTED):
        return "Not worse than the serving model"
    return IN_THE_MAKING.get(status, "")


def _waits_for_its_sam(version: ModelVersion, versions: Sequence[ModelVersion]) -> bool:
    """Whether it is a shipped detector that has not served, of another encoder than serves now."""
    if version.family != ModelFamily.OBJECT_DETECTOR or version.snapshot_id is not None:
        return False
    if version.status != ModelVersionStatus.EVALUATED:
        return False
    sam = _serving([one for one in versions if one.family == ModelFamily.SAM])
    return sam is None or sam.encoder_sha256 != version.encoder_sha256


def _in_words(text: str, words: FamilyWords) -> str:
    """Write the names of figures as the table's headings do."""
    for key, name in words.metrics:
        text = text.replace(key, name.lower())
    return text


def _action(version: ModelVersion) -> str:
    if version.status == ModelVersionStatus.RETIRED:
        return "Roll back"
    if version.status in (ModelVersionStatus.EVALUATED, ModelVersionStatus.REJECTED):
        return "Promote"
    return ""
