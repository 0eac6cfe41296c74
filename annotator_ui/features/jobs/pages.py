"""The history of a project's background work: filtered, paginated, with every attempt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from annotator_ui.features.jobs.rows import JobRow, rows_of
from annotator_ui.http.guard import domain_errors_as_pages
from annotator_ui.http.lookups import project_by_slug
from annotator_ui.http.permissions import actor_of, signed_in_page
from engine.domain.errors import NotFound
from engine.domain.jobs import JOB_SPECS
from engine.domain.roles import Permission
from engine.domain.states import JobStatus
from engine.models import Project
from engine.selectors import jobs as job_rows

JOBS_PER_PAGE = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """An entry of a filter."""

    value: str
    title: str
    is_chosen: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class JobsPage:
    project: Project
    jobs: Sequence[JobRow]
    states: Sequence[Choice]
    kinds: Sequence[Choice]
    query: str
    num_jobs: int
    page_number: int
    num_pages: int


@require_safe
@signed_in_page
@domain_errors_as_pages
def jobs_page(request: HttpRequest, slug: str) -> HttpResponse:
    """Show one page of the jobs, newest first; an unknown state or kind is not found."""
    page = build(
        project_by_slug(actor_of(request), slug, to=Permission.SEE_JOBS),
        state=request.GET.get("state", ""),
        kind=request.GET.get("kind", ""),
        page_number=request.GET.get("page", "1"),
    )
    return render(request, "annotator_ui/jobs/page.html", {"page": page})


def build(project: Project, *, state: str, kind: str, page_number: str) -> JobsPage:
    """Gather the page; a page number out of range shows the nearest page."""
    if state and state not in list(JobStatus):
        raise NotFound("there is no such state of a job")
    if kind and kind not in JOB_SPECS:
        raise NotFound("there is no such kind of job")
    found = job_rows.history(
        project, statuses=[state] if state else [], kinds=[kind] if kind else []
    )
    paginator = Paginator(found, JOBS_PER_PAGE)
    page = paginator.get_page(page_number)
    shown = list(page)
    counts = job_rows.counts(project)
    return JobsPage(
        project=project,
        jobs=rows_of(shown, attempts=job_rows.attempts_of([job.pk for job in shown])),
        states=[
            Choice(
                value=one.value,
                title=f"{one.value} ({counts.get(one.value, 0)})",
                is_chosen=one.value == state,
            )
            for one in JobStatus
        ],
        kinds=[
            Choice(value=value, title=spec.title, is_chosen=value == kind)
            for value, spec in JOB_SPECS.items()
        ],
        query=urlencode({"state": state, "kind": kind}),
        num_jobs=paginator.count,
        page_number=page.number,
        num_pages=paginator.num_pages,
    )
