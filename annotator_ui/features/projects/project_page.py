"""Everything the page of a project shows, gathered once and frozen for the templates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.conf import settings

from annotator_ui.features.exports.rows import ExportChoice, ExportRow, export_choices, export_rows
from annotator_ui.features.images.cards import ImageCard, image_grid
from annotator_ui.features.imports import pages as imports
from annotator_ui.features.imports.pages import ImportRow
from annotator_ui.features.jobs.rows import JobRow, job_rows, per_image_phrases
from annotator_ui.features.loop.stage_track import StageCard, StageMoves, moves, stage_cards
from annotator_ui.features.model_versions.rows import FamilyPanel, family_panels
from annotator_ui.features.projects.figures import CostRow, Figure, cost_rows, project_tiles
from annotator_ui.live import figures_of, revision_of
from engine.domain.stages import STAGE_SPECS
from engine.domain.states import ImageStatus
from engine.models import Project, User
from engine.selectors import models as version_rows
from engine.selectors.masks import accepted_masks
from engine.selectors.members import projects_of
from engine.selectors.packed import kept_runs, num_packed
from engine.selectors.stages import active_stage


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectPage:
    """Leads see all of it; for annotators the parts only leads act on stay empty."""

    project: Project
    is_lead: bool
    revision: str
    warnings: Sequence[str]
    stages: Sequence[StageCard]
    moves: StageMoves
    figures: Sequence[Figure]
    costs: Sequence[CostRow]
    families: Sequence[FamilyPanel]
    jobs: Sequence[JobRow]
    per_image_jobs: Sequence[str]
    export_choices: Sequence[ExportChoice]
    exports: Sequence[ExportRow]
    import_formats: str
    imports: Sequence[ImportRow]
    images: Sequence[ImageCard]
    num_images: int
    page_number: int
    num_pages: int
    max_upload_mb: int


def build(project: Project, *, is_lead: bool, page_number: str) -> ProjectPage:
    """Gather the page. About twenty queries for a lead, whatever the size of the project."""
    grid = image_grid(project, page_number=page_number)
    stage = active_stage(project)
    revision = revision_of(project)
    figures = figures_of(project, revision=revision)
    return ProjectPage(
        project=project,
        is_lead=is_lead,
        revision=revision,
        warnings=version_rows.missing_parts(project),
        stages=stage_cards(figures, active=stage),
        moves=moves(figures, active=stage),
        figures=project_tiles(figures.figures),
        costs=cost_rows(figures.figures),
        families=family_panels(project) if is_lead else [],
        jobs=job_rows(project) if is_lead else [],
        per_image_jobs=per_image_phrases(project) if is_lead else [],
        export_choices=export_choices() if is_lead else [],
        exports=export_rows(project) if is_lead else [],
        import_formats=imports.format_titles(),
        imports=imports.rows(project) if is_lead else [],
        images=grid.cards,
        num_images=grid.num_images,
        page_number=grid.page_number,
        num_pages=grid.num_pages,
        max_upload_mb=settings.MAX_UPLOAD_BYTES // 2**20,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectCard:
    """A project in the list."""

    slug: str
    name: str
    stage: str
    num_images: int
    num_done: int
    num_masks: int


def project_cards(user: User) -> list[ProjectCard]:
    """The user's projects, newest first."""
    return [_card(project) for project in projects_of(user).order_by("-created_at")]


def _card(project: Project) -> ProjectCard:
    stage = active_stage(project)
    images = project.images.exclude(status=ImageStatus.REJECTED.value)
    return ProjectCard(
        slug=project.slug,
        name=project.name,
        stage=STAGE_SPECS[stage.kind].title if stage else "closed",
        num_images=images.count(),
        num_done=images.filter(status=ImageStatus.DONE.value).count(),
        num_masks=accepted_masks(project).count() + num_packed(kept_runs(image__project=project)),
    )
