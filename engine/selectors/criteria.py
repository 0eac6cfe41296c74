"""What a stage visit has brought, counted afresh from the masks, and the verdict on it."""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import Q, QuerySet, Sum

from engine.domain.criteria import Criterion, Measures, Recommendation, criteria_of, recommend
from engine.domain.policy import Policy
from engine.domain.stages import StageKind
from engine.domain.states import (
    ImageStatus,
    MaskSource,
    MaskStatus,
    ModelFamily,
    ModelVersionStatus,
    RevisionKind,
)
from engine.models import EngineStage, Mask, MaskRevision, ModelVersion, StateChange
from engine.selectors.masks import CONFIRMED, confirmed_masks
from engine.selectors.packed import kept_runs, num_packed
from engine.selectors.stages import stage_policy
from masks.overlap import mask_iou
from masks.rle import Rle

MAX_AUDITED = 500
"""The newest so many masks that people changed are compared; each takes two decoded masks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StageEvaluation:
    """Every target of a stage with its figure, and what a lead might do."""

    criteria: list[Criterion]
    recommendation: Recommendation


def evaluate_stage(stage: EngineStage) -> StageEvaluation:
    """Measure a stage and check its targets. About ten queries."""
    policy = stage_policy(stage)
    measures = measure(stage, policy=policy)
    criteria = criteria_of(measures, policy=policy)
    recommendation = recommend(StageKind(stage.kind), criteria, measures, policy=policy)
    return StageEvaluation(criteria=criteria, recommendation=recommendation)


def measure(stage: EngineStage, *, policy: Policy) -> Measures:
    """Gather the figures of one stage visit; masks and images count for the whole project."""
    confirmed = confirmed_masks(stage.project)
    own = Mask.objects.filter(stage=stage).exclude(image__status=ImageStatus.REJECTED.value)
    machine = own.filter(source__in=[MaskSource.PREFILLED.value, MaskSource.AUTOMATIC.value])
    kept = machine.filter(CONFIRMED)
    rejected = machine.filter(status=MaskStatus.REJECTED.value, reviewed_by__isnull=False)
    seconds = _seconds(own, limit=2 * int(policy.plateau_window_masks))
    before, now = _windows(seconds, size=int(policy.plateau_window_masks))
    num_kept = kept.count()
    num_audited, num_alike = _audit(kept, num_kept=num_kept, iou=policy.audit_min_iou)
    return Measures(
        num_confirmed_masks=confirmed.count(),
        num_labelled_images=confirmed.values("image").distinct().count(),
        num_promoted=_num_promoted(stage),
        masks_per_image=_masks_per_image(stage, own),
        seconds_before=before,
        seconds_now=now,
        num_timed_masks=len(seconds),
        num_reviewed=num_kept + rejected.count(),
        num_kept=num_kept,
        num_audited=num_audited,
        num_alike=num_alike,
    )


def _num_promoted(stage: EngineStage) -> int:
    """Count trained (not shipped) SAM versions that began to serve during this visit."""
    trained = ModelVersion.objects.filter(
        project=stage.project_id, family=ModelFamily.SAM.value, snapshot__isnull=False
    )
    changes = StateChange.objects.filter(
        subject_type="modelversion",
        subject_id__in=trained.values("pk"),
        to_state=ModelVersionStatus.SERVING.value,
        created_at__gte=stage.opened_at,
    )
    if stage.closed_at is not None:
        changes = changes.filter(created_at__lte=stage.closed_at)
    return changes.values("subject_id").distinct().count()


def _masks_per_image(stage: EngineStage, own: QuerySet[Mask]) -> float | None:
    accepted = own.filter(status=MaskStatus.ACCEPTED.value)
    packed = kept_runs(stage=stage)
    with_masks = Q(pk__in=accepted.values("image")) | Q(pk__in=packed.values("image"))
    num_images = stage.project.images.filter(with_masks).count()
    return (accepted.count() + num_packed(packed)) / num_images if num_images else None


def _seconds(own: QuerySet[Mask], *, limit: int) -> list[float]:
    """Seconds that the newest masks drawn by people took, oldest first."""
    drawn = own.filter(source=MaskSource.HUMAN.value, status=MaskStatus.ACCEPTED.value)
    timed = (
        MaskRevision.objects.filter(mask__in=drawn, author__isnull=False, annotate_ms__isnull=False)
        .order_by()
        .values("mask", "mask__created_at")
        .annotate(total_ms=Sum("annotate_ms"))
        .order_by("-mask__created_at", "-mask")[:limit]
    )
    return [one["total_ms"] / 1000 for one in timed][::-1]


def _windows(seconds: list[float], *, size: int) -> tuple[float | None, float | None]:
    if len(seconds) < 2 * size:
        return None, None
    return sum(seconds[:size]) / size, sum(seconds[size:]) / size


def _audit(kept: QuerySet[Mask], *, num_kept: int, iou: float) -> tuple[int, int]:
    """Compare what the machine made with what people left: (masks compared, masks alike).

    A mask that was accepted as it was is alike; a changed one is measured.
    """
    changed = kept.exclude(head__kind=RevisionKind.PROPOSAL.value).select_related("head", "image")
    num_changed = changed.count()
    newest = list(changed.order_by("-created_at")[:MAX_AUDITED])
    first_of = {
        one.mask_id: one.rle_counts
        for one in MaskRevision.objects.filter(
            mask__in=[mask.pk for mask in newest], kind=RevisionKind.PROPOSAL.value
        ).order_by("-created_at")
    }
    compared = [mask for mask in newest if mask.pk in first_of]
    num_alike = sum(_iou(mask, first_of[mask.pk]) >= iou for mask in compared)
    num_unchanged = num_kept - num_changed
    return num_unchanged + len(compared), num_unchanged + num_alike


def _iou(mask: Mask, first_counts: str) -> float:
    height_px, width_px = mask.image.height_px, mask.image.width_px
    return mask_iou(
        Rle(height_px, width_px, first_counts), Rle(height_px, width_px, mask.head.rle_counts)
    )
