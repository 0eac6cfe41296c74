"""Questions about images."""

from __future__ import annotations

from django.db.models import Count, Exists, OuterRef, Q, QuerySet

from engine.domain.states import AssignmentStatus, ImageStatus, MaskStatus, ModelFamily
from engine.models import Assignment, Embedding, Image, Project
from engine.models.image import WHOLE_IMAGE
from engine.selectors.models import serving_version


def for_project(project: Project) -> QuerySet[Image]:
    """All images, oldest first, each with `num_masks`, `has_embedding` and `is_held`. Two queries.

    num_masks counts accepted ones; has_embedding is about the serving model.
    """
    version = serving_version(project, family=ModelFamily.SAM)
    embedded = Embedding.objects.filter(
        image=OuterRef("pk"),
        encoder_sha256=version.encoder_sha256 if version else "",
        crop=WHOLE_IMAGE,
    )
    held = Assignment.objects.filter(image=OuterRef("pk"), status=AssignmentStatus.LEASED.value)
    return project.images.annotate(
        num_masks=Count("masks", filter=Q(masks__status=MaskStatus.ACCEPTED.value)),
        has_embedding=Exists(embedded),
        is_held=Exists(held),
    ).order_by("created_at", "id")


def after(rows: QuerySet[Image], last: Image) -> QuerySet[Image]:
    """The rows of `for_project` that follow an image: the next page."""
    return rows.filter(
        Q(created_at__gt=last.created_at) | Q(created_at=last.created_at, pk__gt=last.pk)
    )


def without_embedding(project: Project, *, encoder_sha256: str) -> QuerySet[Image]:
    """Images that are not rejected and have no embedding of the encoder for the whole image."""
    whole = Embedding.objects.filter(
        image=OuterRef("pk"), encoder_sha256=encoder_sha256, crop=WHOLE_IMAGE
    )
    return project.images.exclude(status=ImageStatus.REJECTED.value).filter(~Exists(whole))
