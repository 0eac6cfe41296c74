"""Forms on the page of a project."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest

from annotator_ui.http.permissions import user_of
from annotator_ui.http.project_actions import project_action
from engine.domain.roles import Permission
from engine.models import Project
from engine.services.projects import projects


@project_action(Permission.WRITE_INSTRUCTIONS)
def instructions(request: HttpRequest, project: Project) -> None:
    projects.set_instructions(project, text=request.POST.get("text", ""), actor=user_of(request))
    messages.success(request, "The instructions are saved.")
