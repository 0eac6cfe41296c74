"""Change the numbers of a project's present stage. Every change is a line of the history."""

from __future__ import annotations

from collections.abc import Mapping

from django.db import transaction

from engine.domain.errors import Conflict
from engine.domain.limits import MAX_REASON_CHARACTERS
from engine.domain.policy import Policy
from engine.domain.roles import Permission
from engine.models import Project, StateChange, User
from engine.selectors.stages import stage_policy
from engine.services.people.roles import require
from engine.services.projects.stages import lock_active
from engine.services.text import clean_line

SUBJECT = "policy"
"""`subject_type` of the history's lines; `subject_id` is the stage."""


@transaction.atomic
def change_policy(
    project: Project, *, changes: Mapping[str, object], actor: User, reason: str = ""
) -> Policy:
    """Set numbers of the present stage's policy; return the whole of it.

    InvalidInput names a number that is unknown, fixed, or out of its bounds; then none is set.
    """
    require(actor, Permission.CHANGE_POLICY, project)
    reason = clean_line(reason, what="the reason", max_characters=MAX_REASON_CHARACTERS)
    stage = lock_active(project)
    if stage is None:
        raise Conflict("this project has no open stage", code="no_stage")
    before = stage_policy(stage)
    after = before.with_changes(changes)
    described = _described(before, after)
    if described:
        stage.policy = after.to_json()
        stage.save(update_fields=["policy"])
        StateChange.objects.create(
            subject_type=SUBJECT,
            subject_id=stage.pk,
            from_state=stage.status,
            to_state=stage.status,
            actor=actor,
            reason=f"{described}: {reason}" if reason else described,
        )
    return after


def _described(before: Policy, after: Policy) -> str:
    old, new = before.to_json(), after.to_json()
    return ", ".join(
        f"{name} {old[name]:g} -> {new[name]:g}" for name in new if new[name] != old[name]
    )
