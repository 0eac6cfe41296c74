"""Which image an annotator gets next, and why."""

from __future__ import annotations

from django.db.models import Case, Exists, OuterRef, QuerySet, When

from engine.domain.states import AssignmentStatus, ImageStatus
from engine.models import Assignment, Image, Project, User
from engine.selectors.packed import has_accepted_masks
from engine.selectors.stages import active_stage


def next_images(project: Project, annotator: User, limit: int) -> list[Image]:
    """The images this annotator would be given next, in order. One query."""
    return list(waiting_images(project, annotator=annotator)[:limit])


def waiting_images(project: Project, *, annotator: User) -> QuerySet[Image]:
    """Ready images nobody holds and this annotator has not finished or skipped in this stage.

    Images without an accepted mask come first, then the oldest.
    """
    held = Assignment.objects.filter(image=OuterRef("pk"), status=AssignmentStatus.LEASED.value)
    finished = Assignment.objects.filter(
        image=OuterRef("pk"),
        annotator=annotator,
        stage=active_stage(project),
        status__in=[AssignmentStatus.SUBMITTED.value, AssignmentStatus.SKIPPED.value],
    )
    return in_queue_order(
        project.images.filter(~Exists(held), ~Exists(finished), status=ImageStatus.READY.value)
    )


def in_queue_order(images: QuerySet[Image]) -> QuerySet[Image]:
    """Order images as they are handed out: those without an accepted mask, then the oldest."""
    return images.annotate(
        has_masks=Case(When(has_accepted_masks(), then=True), default=False)
    ).order_by("has_masks", "created_at", "id")
