"""Imports: the table on the page of a project, and the report of one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from annotator_ui.features.jobs.rows import job_row
from annotator_ui.http.guard import domain_errors_as_pages
from annotator_ui.http.lookups import import_by_id, project_by_slug
from annotator_ui.http.permissions import actor_of, signed_in_page
from annotator_ui.progress import ago
from annotator_ui.wording import tone
from engine.domain.errors import NotFound
from engine.domain.roles import Permission
from engine.domain.states import ImportStatus
from engine.importers import annotation_formats
from engine.models import DatasetImport, Project
from engine.selectors import imports as import_rows
from engine.services.datasets import imports

NUM_IMPORTS = 10
REFUSED_PER_PAGE = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportRow:
    id: UUID
    name: str
    status: str
    tone: str
    done: bool
    images: str
    masks: str
    num_refused: int
    error: str
    when: str


def format_titles() -> str:
    """The formats of annotations that are read: "COCO or SA-1B"."""
    *others, last = (one.TITLE for one in annotation_formats())
    return " or ".join([", ".join(others), last] if others else [last])


def rows(project: Project) -> Sequence[ImportRow]:
    """The last imports of a project."""
    now = timezone.now()
    return [_row(run, now=now) for run in import_rows.for_project(project)[:NUM_IMPORTS]]


@require_safe
@signed_in_page
@domain_errors_as_pages
def import_report(request: HttpRequest, slug: str, import_id: UUID) -> HttpResponse:
    """Show how far an import is; when it is done, what was refused and why."""
    actor = actor_of(request)
    project = project_by_slug(actor, slug, to=Permission.SEE_JOBS)
    run = import_by_id(actor, import_id, to=Permission.SEE_JOBS)
    if run.project_id != project.pk:
        raise NotFound("there is no such import in this project")
    num_pages = max(-(-min(run.num_refused, imports.MAX_LISTED) // REFUSED_PER_PAGE), 1)
    asked = request.GET.get("page", "1")
    page = min(max(int(asked), 1), num_pages) if asked.isascii() and asked.isdigit() else 1
    first = (page - 1) * REFUSED_PER_PAGE
    now = timezone.now()
    context = {
        "project": project,
        "run": run,
        "job": job_row(run.job, subject=run.name, now=now) if run.job else None,
        "tone": tone(run.status),
        "when": ago(run.created_at, now=now),
        "refused": list(islice(imports.refused_by(run), first, first + REFUSED_PER_PAGE)),
        "page": page,
        "num_pages": num_pages,
    }
    return render(request, "annotator_ui/imports/page.html", context)


def _row(run: DatasetImport, *, now: datetime) -> ImportRow:
    done = run.status == ImportStatus.DONE
    failed = run.status == ImportStatus.FAILED
    return ImportRow(
        id=run.pk,
        name=run.name,
        status=run.status,
        tone=tone(run.status),
        done=done,
        images=_counted(run.num_images, run.num_known_images) if done else "",
        masks=_counted(run.num_masks, run.num_known_masks) if done else "",
        num_refused=run.num_refused,
        error=run.job.error if failed and run.job else "",
        when=ago(run.created_at, now=now),
    )


def _counted(new: int, known: int) -> str:
    return f"{new} (+{known} known)" if known else str(new)
