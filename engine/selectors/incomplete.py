"""Images that annotators could not finish: skipped, or with objects left out as too hard."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from django.db.models import Exists, OuterRef, Q

from engine.domain.states import AssignmentStatus
from engine.models import Assignment, StateChange

_SKIPPED = AssignmentStatus.SKIPPED.value


@dataclass(slots=True)
class Remarks:
    """`num_left_out`: the most that one annotator left out. `skipped`: the reasons, oldest first.

    A skip without a reason is an empty one.
    """

    num_left_out: int = 0
    skipped: list[str] = field(default_factory=list)


def was_skipped() -> Q:
    """Filter images that somebody skipped."""
    return Q(Exists(Assignment.objects.filter(image=OuterRef("pk"), status=_SKIPPED)))


def has_left_out() -> Q:
    """Filter images of which somebody left objects out."""
    return Q(Exists(Assignment.objects.filter(image=OuterRef("pk"), num_left_out__gt=0)))


def remarks_on(image_ids: Sequence[UUID]) -> Mapping[UUID, Remarks]:
    """What annotators said of each image, of those they said anything of. Two queries."""
    rows = (
        Assignment.objects.filter(image__in=image_ids)
        .filter(Q(status=_SKIPPED) | Q(num_left_out__gt=0))
        .order_by("finished_at", "id")
        .values_list("pk", "image", "status", "num_left_out")
    )
    skips = [pk for pk, _, status, _ in rows if status == _SKIPPED]
    reasons = dict(
        StateChange.objects.filter(
            subject_type="assignment", subject_id__in=skips, to_state=_SKIPPED
        ).values_list("subject_id", "reason")
    )
    found: defaultdict[UUID, Remarks] = defaultdict(Remarks)
    for pk, image_id, status, num_left_out in rows:
        remarks = found[image_id]
        remarks.num_left_out = max(remarks.num_left_out, num_left_out)
        if status == _SKIPPED:
            remarks.skipped.append(reasons.get(pk, ""))
    return found
