"""Questions about automatic masks that have no rows of their own yet (models/automatic.py)."""

from __future__ import annotations

from django.db.models import Exists, OuterRef, Q, QuerySet, Sum

from engine.domain.states import AutomaticRunStatus, ImageStatus, MaskStatus
from engine.models import AutomaticRun, Image, Mask

_KEPT = AutomaticRunStatus.KEPT.value


def kept_run(image: Image) -> AutomaticRun | None:
    """The image's packed masks, if it has any."""
    return AutomaticRun.objects.filter(image=image, status=_KEPT).first()


def kept_runs(**of: object) -> QuerySet[AutomaticRun]:
    """Packed masks of a project (image__project=...) or stage, on images that are not rejected."""
    runs = AutomaticRun.objects.filter(status=_KEPT, **of)
    return runs.exclude(image__status=ImageStatus.REJECTED.value)


def num_packed(runs: QuerySet[AutomaticRun]) -> int:
    """How many masks the runs hold."""
    return runs.aggregate(total=Sum("num_masks"))["total"] or 0


def has_accepted_masks() -> Q:
    """A condition on images: an accepted mask is there, with rows of its own or packed."""
    accepted = Mask.objects.filter(image=OuterRef("pk"), status=MaskStatus.ACCEPTED.value)
    packed = AutomaticRun.objects.filter(image=OuterRef("pk"), status=_KEPT)
    return Q(Exists(accepted)) | Q(Exists(packed))
