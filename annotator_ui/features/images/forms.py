"""Uploads from the page of a project."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest

from annotator_ui.features.images import uploads
from annotator_ui.http.guard import domain_errors_as_messages
from annotator_ui.http.permissions import user_of
from annotator_ui.http.project_actions import project_action
from engine.domain.errors import InvalidInput
from engine.domain.roles import Permission
from engine.models import Project


@project_action(Permission.ADD_IMAGES)
def upload(request: HttpRequest, project: Project) -> None:
    files = request.FILES.getlist("file")
    archives = [one for one in files if (one.name or "").lower().endswith(".zip")]
    for archive in archives:
        with domain_errors_as_messages(request):
            run = uploads.take_archive(project, archive, actor=user_of(request))
            messages.success(request, f"Import of {run.name} started.")
    images = [one for one in files if one not in archives]
    batch = uploads.take_files(project, images, actor=user_of(request))
    if batch.images:
        known = len(batch.images) - batch.added
        already = f", {known} already there" if known else ""
        messages.success(request, f"Images added: {batch.added}{already}.")
    for refused in batch.refused:
        messages.error(request, f"{refused.file_name}: {refused.message}")
    if not files:
        raise InvalidInput("choose at least one image")
