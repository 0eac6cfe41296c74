"""What the page of a project polls: cheap marks of change, and figures only when they moved."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from django.core.cache import cache
from django.db.models import Count, QuerySet

from engine.domain.states import ModelVersionStatus
from engine.models import AutomaticRun, Evaluation, Mask, MaskRevision, Project, TrainingCurve
from engine.selectors.progress import ProjectFigures, project_figures

FIGURES_KEPT_S = 600


def revision_of(project: Project) -> str:
    """A short code that differs whenever a table or figure of the page would."""
    masks = Mask.objects.filter(image__project=project)
    marks: list[Any] = [
        _counts(project.images.all(), "status"),
        _counts(masks, "status", "source"),
        _counts(AutomaticRun.objects.filter(image__project=project), "status"),
        _counts(project.imports.all(), "status"),
        MaskRevision.objects.filter(mask__image__project=project).count(),
        _counts(project.jobs.all(), "status", "kind"),
        project.jobs.filter(cancel_requested_at__isnull=False).count(),
        list(project.stages.values_list("ordinal", "status", "policy")),
        [[str(pk), *rest] for pk, *rest in project.model_versions.values_list("pk", "status")],
        Evaluation.objects.filter(model_version__project=project).count(),
        _last_points(project),
        _counts(project.exports.all(), "status"),
    ]
    return hashlib.sha256(json.dumps(marks).encode()).hexdigest()[:16]


def figures_of(project: Project, *, revision: str) -> ProjectFigures:
    """The figures at that revision; they read every revision of every mask, so they are kept."""
    key = f"figures:{project.pk}:{revision}"
    kept: ProjectFigures | None = cache.get(key)
    if kept is None:
        kept = project_figures(project)
        cache.set(key, kept, FIGURES_KEPT_S)
    return kept


def _last_points(project: Project) -> list[Any]:
    """Where the curve of a training that is going on ends."""
    growing = TrainingCurve.objects.filter(
        model_version__project=project, model_version__status=ModelVersionStatus.TRAINING.value
    )
    return [points[-1:] for points in growing.values_list("points", flat=True)]


def _counts(rows: QuerySet[Any], *columns: str) -> list[list[Any]]:
    counted = rows.order_by(*columns).values_list(*columns).annotate(number=Count("pk"))
    return [list(row) for row in counted]
