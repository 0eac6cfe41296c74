"""The buttons of a project page: ask a service, then go back to the page with what it said."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_POST

from annotator_ui import uploads
from annotator_ui.lookups import job_by_id, project_by_slug, version_by_id
from annotator_ui.permissions import actor_of, signed_in_page, user_of
from annotator_ui.views.guard import domain_errors_as_pages, told_as_message
from annotator_ui.views.starter_notice import told
from annotator_ui.wording import FAMILIES, TRAINS
from engine.domain.errors import InvalidInput, NotFound
from engine.domain.policy_fields import FIELDS
from engine.domain.roles import Permission
from engine.domain.schedule import RoundSize
from engine.domain.stages import STAGE_SPECS
from engine.exporters import EXPORTERS
from engine.models import Job, Project
from engine.services.datasets import exports
from engine.services.jobs import jobs
from engine.services.models import model_versions, starters
from engine.services.projects import policies, projects, stages

MAX_REASON_CHARACTERS = 500

Action = Callable[[HttpRequest, Project], None]
Page = Callable[..., HttpResponse]


def project_action(permission: Permission, *, page: str = "") -> Callable[[Action], Page]:
    """A POST on a project that ends on its page, refusals told as messages.

    page: by name; the one whose button was pressed when empty.
    """
    to_page = page

    def decorate(action: Action) -> Page:
        @require_POST
        @signed_in_page
        @domain_errors_as_pages
        def page(request: HttpRequest, slug: str) -> HttpResponse:
            project = project_by_slug(actor_of(request), slug, to=permission)
            with told_as_message(request):
                action(request, project)
            return redirect(to_page or _page_of(request), slug=project.slug)

        return page

    return decorate


def _page_of(request: HttpRequest) -> str:
    """The page whose button was pressed."""
    return "loop" if request.POST.get("to_page") == "loop" else "project"


def reason_of(request: HttpRequest) -> str:
    reason = request.POST.get("reason", "").strip()
    if len(reason) > MAX_REASON_CHARACTERS:
        raise InvalidInput(f"the reason is longer than {MAX_REASON_CHARACTERS} characters")
    return reason


@project_action(Permission.ADD_IMAGES)
def upload(request: HttpRequest, project: Project) -> None:
    files = request.FILES.getlist("file")
    archives = [one for one in files if (one.name or "").lower().endswith(".zip")]
    for archive in archives:
        with told_as_message(request):
            run = uploads.take_archive(project, archive, actor=user_of(request))
            messages.success(request, f"Import of {run.name} started.")
    photos = [one for one in files if one not in archives]
    batch = uploads.take_files(project, photos, actor=user_of(request))
    if batch.images:
        known = len(batch.images) - batch.added
        already = f", {known} already there" if known else ""
        messages.success(request, f"Photos added: {batch.added}{already}.")
    for refused in batch.refused:
        messages.error(request, f"{refused.file_name}: {refused.message}")
    if not files:
        raise InvalidInput("choose at least one photo")


@project_action(Permission.WRITE_INSTRUCTIONS)
def instructions(request: HttpRequest, project: Project) -> None:
    projects.set_instructions(project, text=request.POST.get("text", ""), actor=user_of(request))
    messages.success(request, "The instructions are saved.")


@project_action(Permission.TRAIN)
def retrain(request: HttpRequest, project: Project) -> None:
    family = request.POST.get("family", "")
    if family not in FAMILIES:
        raise InvalidInput("there is no such model family")
    trains = request.POST.get("trains", "")
    if trains and trains not in TRAINS:
        raise InvalidInput("there is no such size of a training")
    version, _ = model_versions.request_retrain(
        project,
        family=family,
        actor=user_of(request),
        trains=RoundSize(trains) if trains else None,
    )
    messages.success(request, f"{FAMILIES[family].title} v{version.number} is being trained.")


@project_action(Permission.MOVE_STAGE)
def advance(request: HttpRequest, project: Project) -> None:
    stage = stages.advance_stage(project, actor=user_of(request), reason=reason_of(request))
    messages.success(request, f"Stage now: {STAGE_SPECS[stage.kind].title}, {stage.status}.")


@project_action(Permission.MOVE_STAGE)
def back(request: HttpRequest, project: Project) -> None:
    stage = stages.go_back(project, actor=user_of(request), reason=reason_of(request))
    messages.success(request, f"Stage now: {STAGE_SPECS[stage.kind].title}, {stage.status}.")


@project_action(Permission.PROMOTE)
def promote(request: HttpRequest, project: Project) -> None:
    try:
        version_id = UUID(request.POST.get("model_version_id", ""))
    except ValueError:
        raise NotFound("there is no such model version") from None
    version = version_by_id(actor_of(request), version_id, to=Permission.PROMOTE)
    if version.project_id != project.pk:
        raise NotFound("there is no such model version in this project")
    model_versions.promote(version, actor=user_of(request), reason=reason_of(request))
    messages.success(request, f"{FAMILIES[version.family].title} v{version.number} serves now.")


@project_action(Permission.PROMOTE)
def starter_upgrade(request: HttpRequest, project: Project) -> None:
    messages.success(request, told(starters.upgrade(project, actor=user_of(request))))


@project_action(Permission.PROMOTE, page="loop")
def roll_back(request: HttpRequest, project: Project) -> None:
    family = request.POST.get("family", "")
    if family not in FAMILIES:
        raise InvalidInput("there is no such model family")
    version = model_versions.roll_back(
        project, family=family, actor=user_of(request), reason=reason_of(request)
    )
    messages.success(request, f"{FAMILIES[family].title} v{version.number} serves again.")


@project_action(Permission.CHANGE_POLICY, page="loop")
def policy(request: HttpRequest, project: Project) -> None:
    """Set the numbers that the form names; a browser sends all that are not fixed."""
    changes = {name: request.POST[name] for name in FIELDS if name in request.POST}
    policies.change_policy(
        project, changes=changes, actor=user_of(request), reason=reason_of(request)
    )
    messages.success(request, "The numbers are saved.")


@project_action(Permission.EXPORT)
def export(request: HttpRequest, project: Project) -> None:
    format_ = request.POST.get("format", "")
    if format_ not in EXPORTERS:
        raise InvalidInput("there is no such export format")
    exports.request_export(project, format=format_, actor=user_of(request))
    messages.success(request, f"The {EXPORTERS[format_].TITLE} export is being written.")


@require_POST
@signed_in_page
@domain_errors_as_pages
def cancel_job(request: HttpRequest, job_id: UUID) -> HttpResponse:
    job = job_by_id(actor_of(request), job_id, to=Permission.MANAGE_JOBS)
    with told_as_message(request):
        jobs.cancel(job, actor=user_of(request))
    return _back(request, job)


@require_POST
@signed_in_page
@domain_errors_as_pages
def retry_job(request: HttpRequest, job_id: UUID) -> HttpResponse:
    job = job_by_id(actor_of(request), job_id, to=Permission.MANAGE_JOBS)
    with told_as_message(request):
        jobs.retry(job, actor=user_of(request))
    return _back(request, job)


def _back(request: HttpRequest, job: Job) -> HttpResponse:
    """Return to the page whose button was pressed."""
    page = "jobs" if request.POST.get("back") == "jobs" else "project"
    return redirect(page, slug=job.project.slug)
