"""Buttons of jobs: cancel and retry."""

from __future__ import annotations

from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_POST

from annotator_ui.http.guard import domain_errors_as_messages, domain_errors_as_pages
from annotator_ui.http.lookups import job_by_id
from annotator_ui.http.permissions import actor_of, signed_in_page, user_of
from engine.domain.roles import Permission
from engine.models import Job
from engine.services.jobs import jobs


@require_POST
@signed_in_page
@domain_errors_as_pages
def cancel_job(request: HttpRequest, job_id: UUID) -> HttpResponse:
    job = job_by_id(actor_of(request), job_id, to=Permission.MANAGE_JOBS)
    with domain_errors_as_messages(request):
        jobs.cancel(job, actor=user_of(request))
    return _back(request, job)


@require_POST
@signed_in_page
@domain_errors_as_pages
def retry_job(request: HttpRequest, job_id: UUID) -> HttpResponse:
    job = job_by_id(actor_of(request), job_id, to=Permission.MANAGE_JOBS)
    with domain_errors_as_messages(request):
        jobs.retry(job, actor=user_of(request))
    return _back(request, job)


def _back(request: HttpRequest, job: Job) -> HttpResponse:
    """Return to the page whose button was pressed."""
    page = "jobs" if request.POST.get("back") == "jobs" else "project"
    return redirect(page, slug=job.project.slug)
