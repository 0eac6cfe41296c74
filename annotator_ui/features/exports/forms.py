"""The buttons that start an export."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest

from annotator_ui.http.permissions import user_of
from annotator_ui.http.project_actions import project_action
from engine.domain.errors import InvalidInput
from engine.domain.roles import Permission
from engine.exporters import EXPORTERS
from engine.models import Project
from engine.services.datasets import exports


@project_action(Permission.EXPORT)
def export(request: HttpRequest, project: Project) -> None:
    format_ = request.POST.get("format", "")
    if format_ not in EXPORTERS:
        raise InvalidInput("there is no such export format")
    exports.request_export(project, format=format_, actor=user_of(request))
    messages.success(request, f"The {EXPORTERS[format_].TITLE} export is being written.")
