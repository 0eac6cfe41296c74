"""Questions about masks."""

from __future__ import annotations

from django.db.models import Q, QuerySet

from engine.domain.states import ImageStatus, MaskStatus
from engine.models import Image, Mask, Project

CONFIRMED = Q(status=MaskStatus.ACCEPTED.value) & (
    Q(head__author__isnull=False) | Q(reviewed_by__isnull=False)
)
"""Accepted, and a person drew, changed or reviewed it: never an untouched automatic mask."""


def for_image(image: Image) -> QuerySet[Mask]:
    """Every mask of an image with its shape, in drawing order."""
    return image.masks.select_related("head", "head__author").order_by("order", "id")


def confirmed_masks(project: Project) -> QuerySet[Mask]:
    """Masks a person stands behind, on images that are not rejected: what models learn from."""
    return Mask.objects.filter(CONFIRMED, image__project=project).exclude(
        image__status=ImageStatus.REJECTED.value
    )


def accepted_masks(project: Project) -> QuerySet[Mask]:
    """All accepted masks on images that are not rejected: what an export holds."""
    return Mask.objects.filter(image__project=project, status=MaskStatus.ACCEPTED.value).exclude(
        image__status=ImageStatus.REJECTED.value
    )
