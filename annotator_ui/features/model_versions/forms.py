"""Buttons of model versions: training, promotion, rolling back."""

from __future__ import annotations

from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest

from annotator_ui.features.model_versions.starter_notice import told
from annotator_ui.http.lookups import version_by_id
from annotator_ui.http.permissions import actor_of, user_of
from annotator_ui.http.project_actions import project_action, reason_of
from annotator_ui.wording import FAMILIES, TRAINS
from engine.domain.errors import InvalidInput, NotFound
from engine.domain.roles import Permission
from engine.domain.schedule import RoundSize
from engine.models import Project
from engine.services.models import model_versions, starters


@project_action(Permission.TRAIN)
def retrain(request: HttpRequest, project: Project) -> None:
    family = request.POST.get("family", "")
    if family not in FAMILIES:
        raise InvalidInput("there is no such model family")
    trainable = request.POST.get("trainable", "")
    if trainable and trainable not in TRAINS:
        raise InvalidInput("there is no such size of a training")
    version, _ = model_versions.request_retrain(
        project,
        family=family,
        actor=user_of(request),
        trainable=RoundSize(trainable) if trainable else None,
    )
    messages.success(request, f"{FAMILIES[family].title} v{version.number} is being trained.")


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
