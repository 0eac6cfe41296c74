"""Start the trainings that are due. Every worker's sweeper asks, as often as it likes.

Nothing is remembered between two askings: what is due follows from the tables. Two sweepers that
ask at once are told apart by the project's lock, so that one of them starts the round.
"""

from __future__ import annotations

import logging
from uuid import UUID

from django.db import transaction

from engine.domain.errors import DomainError
from engine.domain.schedule import PlanState
from engine.domain.states import ModelFamily
from engine.models import ModelVersion, Project
from engine.selectors.retraining import plan_for
from engine.services.models import model_versions

logger = logging.getLogger(__name__)

_last_logged: dict[tuple[UUID, ModelFamily], str] = {}
"""What keeps a due round from starting, as last logged by this process: logged once."""


def run_due() -> list[ModelVersion]:
    """Start every due round of every project; return the new versions.

    What a project refuses is logged and keeps no other project waiting.
    """
    started = []
    for project in Project.objects.all():
        for family in ModelFamily:
            plan = plan_for(project, family=family)
            _log_once(project, family, plan.message if plan.state == PlanState.BLOCKED else "")
            if plan.state != PlanState.DUE:
                continue  # a cheap check without the lock
            try:
                version = _start(project, family=family)
            except DomainError as refusal:
                _log_once(project, family, refusal.message)
                continue
            if version is not None:
                started.append(version)
    return started


@transaction.atomic
def _start(project: Project, *, family: ModelFamily) -> ModelVersion | None:
    """Check again under the project's lock, then start."""
    project = Project.objects.select_for_update(no_key=True).get(pk=project.pk)
    plan = plan_for(project, family=family)
    if plan.state != PlanState.DUE:
        return None  # another sweeper was faster
    version, _ = model_versions.request_retrain(
        project, family=family, actor=None, trigger=f"by schedule: {plan.message}"
    )
    logger.info("scheduled %s v%d of %s: %s", family, version.number, project.slug, plan.message)
    return version


def _log_once(project: Project, family: ModelFamily, what: str) -> None:
    if _last_logged.get((project.pk, family), "") != what:
        _last_logged[project.pk, family] = what
        if what:
            logger.warning("no scheduled %s of %s: %s", family, project.slug, what)
