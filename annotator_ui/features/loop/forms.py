"""Forms of the loop: moving the stage, changing its policy."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest

from annotator_ui.http.permissions import user_of
from annotator_ui.http.project_actions import project_action, reason_of
from engine.domain.policy_fields import FIELDS
from engine.domain.roles import Permission
from engine.domain.stages import STAGE_SPECS
from engine.models import Project
from engine.services.projects import policies, stages


@project_action(Permission.MOVE_STAGE)
def advance(request: HttpRequest, project: Project) -> None:
    stage = stages.advance_stage(project, actor=user_of(request), reason=reason_of(request))
    messages.success(request, f"Stage now: {STAGE_SPECS[stage.kind].title}, {stage.status}.")


@project_action(Permission.MOVE_STAGE)
def back(request: HttpRequest, project: Project) -> None:
    stage = stages.go_back(project, actor=user_of(request), reason=reason_of(request))
    messages.success(request, f"Stage now: {STAGE_SPECS[stage.kind].title}, {stage.status}.")


@project_action(Permission.CHANGE_POLICY, page="loop")
def policy(request: HttpRequest, project: Project) -> None:
    """Set the numbers that the form names; a browser sends all that are not fixed."""
    changes = {name: request.POST[name] for name in FIELDS if name in request.POST}
    policies.change_policy(
        project, changes=changes, actor=user_of(request), reason=reason_of(request)
    )
    messages.success(request, "The numbers are saved.")
