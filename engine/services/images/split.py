"""Decide which images teach a model and which measure it."""

from __future__ import annotations

from engine.domain.policy import Policy
from engine.domain.states import Side
from engine.models import Image, Project


def fix_side(image: Image) -> None:
    """Decide once and for all which side the image is on, at its first confirmed mask.

    The project row is the lock: two first masks on two images must not both count as the n-th.
    """
    if image.side != Side.UNDECIDED:
        return
    project = Project.objects.select_for_update(no_key=True).get(pk=image.project_id)
    position = project.images.exclude(side=Side.UNDECIDED.value).count() + 1
    side = Side.HOLDOUT if _policy(project).is_holdout(position) else Side.TRAIN
    project.images.filter(pk=image.pk, side=Side.UNDECIDED.value).update(side=side.value)
    image.refresh_from_db(fields=["side"])


def _policy(project: Project) -> Policy:
    stage = project.stages.first()  # the rule of the first stage holds for good
    return Policy.from_json(stage.policy if stage else {})
