"""How far a project is and what a mask costs. Always computed from the masks, never stored."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

from django.db.models import Count, Q, QuerySet

from engine.domain.criteria import exit_blockers
from engine.domain.prompts import num_clicks
from engine.domain.states import ImageStatus, MaskSource, MaskStatus
from engine.models import AutomaticRun, EngineStage, Mask, MaskRevision, Project
from engine.selectors.criteria import StageEvaluation, evaluate_stage
from engine.selectors.packed import kept_runs, num_packed
from engine.selectors.stages import active_stage


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionFigures:
    """What people needed with one model version. `number` is None for masks made without one."""

    number: int | None
    num_masks: int
    num_images: int
    masks_per_image: float | None
    seconds_per_mask: float | None
    clicks_per_mask: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Accepted masks; time and clicks count only revisions made by people, with time measured."""

    num_images: int
    num_images_done: int
    num_images_with_masks: int
    num_masks: int
    num_human_masks: int
    num_prefilled_masks: int
    num_automatic_masks: int
    num_imported_masks: int
    num_proposed_masks: int
    masks_per_image: float | None
    seconds_per_mask: float | None
    clicks_per_mask: float | None
    by_model_version: list[VersionFigures]


@dataclass(frozen=True, slots=True, kw_only=True)
class StageFigures:
    """One stage visit."""

    stage: EngineStage
    figures: Figures


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectFigures:
    """A project, its stages in order, and how the present one stands; None without one."""

    figures: Figures
    stages: list[StageFigures]
    evaluation: StageEvaluation | None

    @property
    def exit_blockers(self) -> list[str]:
        return exit_blockers(self.evaluation.criteria) if self.evaluation else []


def project_figures(project: Project) -> ProjectFigures:
    """Compute the figures of a project and of each of its stages."""
    stage = active_stage(project)
    masks = Mask.objects.filter(image__project=project)
    return ProjectFigures(
        figures=_figures(project, masks=masks, packed=kept_runs(image__project=project)),
        stages=[
            StageFigures(stage=one, figures=stage_figures(one)) for one in project.stages.all()
        ],
        evaluation=evaluate_stage(stage) if stage else None,
    )


def stage_figures(stage: EngineStage) -> Figures:
    """Compute the figures of the masks made in one stage."""
    return _figures(
        stage.project, masks=Mask.objects.filter(stage=stage), packed=kept_runs(stage=stage)
    )


def _figures(project: Project, *, masks: QuerySet[Mask], packed: QuerySet[AutomaticRun]) -> Figures:
    masks = masks.exclude(image__status=ImageStatus.REJECTED.value)
    accepted = masks.filter(status=MaskStatus.ACCEPTED.value)
    by_source = dict(accepted.values_list("source").annotate(Count("pk")))
    automatic = MaskSource.AUTOMATIC.value
    by_source[automatic] = by_source.get(automatic, 0) + num_packed(packed)
    num_masks = sum(by_source.values())
    with_masks = Q(pk__in=accepted.values("image")) | Q(pk__in=packed.values("image"))
    num_with_masks = project.images.filter(with_masks).count()
    work = _human_work(accepted)
    images = project.images.exclude(status=ImageStatus.REJECTED.value)
    return Figures(
        num_images=images.count(),
        num_images_done=images.filter(status=ImageStatus.DONE.value).count(),
        num_images_with_masks=num_with_masks,
        num_masks=num_masks,
        num_human_masks=by_source.get(MaskSource.HUMAN.value, 0),
        num_prefilled_masks=by_source.get(MaskSource.PREFILLED.value, 0),
        num_automatic_masks=by_source[automatic],
        num_imported_masks=by_source.get(MaskSource.IMPORTED.value, 0),
        num_proposed_masks=masks.filter(status=MaskStatus.PROPOSED.value).count(),
        masks_per_image=num_masks / num_with_masks if num_with_masks else None,
        seconds_per_mask=_seconds_per_mask(work),
        clicks_per_mask=_clicks_per_mask(work),
        by_model_version=_by_version(work),
    )


@dataclass(frozen=True, slots=True)
class _Work:
    """What a person did for one revision of a mask."""

    mask_id: UUID
    image_id: UUID
    number: int | None
    milliseconds: int | None
    clicks: int


def _human_work(accepted: QuerySet[Mask]) -> list[_Work]:
    rows = MaskRevision.objects.filter(mask__in=accepted, author__isnull=False).values_list(
        "mask_id", "mask__image_id", "model_version__number", "annotate_ms", "prompts"
    )
    return [
        _Work(mask_id, image_id, number, milliseconds, num_clicks(prompts))
        for mask_id, image_id, number, milliseconds, prompts in rows
    ]


def _seconds_per_mask(work: Iterable[_Work]) -> float | None:
    timed = [one for one in work if one.milliseconds is not None]
    num_masks = len({one.mask_id for one in timed})
    return sum(one.milliseconds or 0 for one in timed) / 1000 / num_masks if num_masks else None


def _clicks_per_mask(work: Iterable[_Work]) -> float | None:
    work = list(work)
    num_masks = len({one.mask_id for one in work})
    return sum(one.clicks for one in work) / num_masks if num_masks else None


def _by_version(work: Iterable[_Work]) -> list[VersionFigures]:
    groups: dict[int | None, list[_Work]] = defaultdict(list)
    for one in work:
        groups[one.number].append(one)
    return [
        _version_figures(number, group)
        for number, group in sorted(groups.items(), key=lambda item: item[0] or 0)
    ]


def _version_figures(number: int | None, work: list[_Work]) -> VersionFigures:
    num_masks = len({one.mask_id for one in work})
    num_images = len({one.image_id for one in work})
    return VersionFigures(
        number=number,
        num_masks=num_masks,
        num_images=num_images,
        masks_per_image=num_masks / num_images if num_images else None,
        seconds_per_mask=_seconds_per_mask(work),
        clicks_per_mask=_clicks_per_mask(work),
    )
