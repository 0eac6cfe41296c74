"""Which image an annotator gets next, and why."""

from __future__ import annotations

from django.db.models import Case, Exists, OuterRef, QuerySet, When

from engine.domain.stages import STAGE_SPECS, QueueOrder, StageKind
from engine.domain.states import AssignmentStatus, ImageStatus, MaskStatus
from engine.models import Assignment, EngineStage, Image, Mask, Project, User
from engine.selectors.packed import has_accepted_masks
from engine.selectors.stages import active_stage


def next_images(project: Project, annotator: User, limit: int) -> list[Image]:
    """The images this annotator would be given next, in order. One query."""
    return list(waiting_images(project, annotator=annotator)[:limit])


def waiting_images(project: Project, *, annotator: User) -> QuerySet[Image]:
    """Ready images nobody holds and this annotator has not finished or skipped in this stage.

    The order is the stage's own (domain/stages.py).
    """
    stage = active_stage(project)
    held = Assignment.objects.filter(image=OuterRef("pk"), status=AssignmentStatus.LEASED.value)
    finished = Assignment.objects.filter(
        image=OuterRef("pk"),
        annotator=annotator,
        stage=stage,
        status__in=[AssignmentStatus.SUBMITTED.value, AssignmentStatus.SKIPPED.value],
    )
    waiting = project.images.filter(
        ~Exists(held), ~Exists(finished), status=ImageStatus.READY.value
    )
    return in_queue_order(waiting, order=_order_of(stage))


def _order_of(stage: EngineStage | None) -> QueueOrder:
    return STAGE_SPECS[StageKind(stage.kind)].queue_order if stage else QueueOrder.UNLABELLED_FIRST


def in_queue_order(
    images: QuerySet[Image], *, order: QueueOrder = QueueOrder.UNLABELLED_FIRST
) -> QuerySet[Image]:
    """Order images as they are handed out: by the stage's rule, then the oldest."""
    if order == QueueOrder.PREFILLED_FIRST:
        proposed = Mask.objects.filter(image=OuterRef("pk"), status=MaskStatus.PROPOSED.value)
        return images.annotate(
            has_no_proposals=Case(When(Exists(proposed), then=False), default=True)
        ).order_by("has_no_proposals", "created_at", "id")
    return images.annotate(
        has_masks=Case(When(has_accepted_masks(), then=True), default=False)
    ).order_by("has_masks", "created_at", "id")
