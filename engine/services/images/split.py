"""Decide which images teach a model and which measure it."""

from __future__ import annotations

from engine.domain.policy import DEFAULT_POLICY, Policy
from engine.domain.states import Split
from engine.models import Image, Project
from engine.selectors.stages import stage_policy


def fix_split(image: Image) -> None:
    """Fix the split of the image, once and for all, at its first confirmed mask.

    The project row is the lock: two first masks on two images must not both count as the n-th.
    """
    if image.split != Split.UNDECIDED:
        return
    project = Project.objects.select_for_update(no_key=True).get(pk=image.project_id)
    position = project.images.exclude(split=Split.UNDECIDED.value).count() + 1
    split = Split.HOLDOUT if _policy(project).is_holdout(position) else Split.TRAIN
    project.images.filter(pk=image.pk, split=Split.UNDECIDED.value).update(split=split.value)
    image.refresh_from_db(fields=["split"])


def _policy(project: Project) -> Policy:
    stage = project.stages.first()  # the rule of the first stage holds for good
    return stage_policy(stage) if stage else DEFAULT_POLICY
