"""The grid of images with their mask counts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from django.core.paginator import Page, Paginator
from django.db.models import Count

from annotator_ui.wording import SOURCES
from engine.domain.states import MaskSource, MaskStatus
from engine.models import Image, Mask, Project
from engine.selectors.packed import kept_runs

IMAGES_PER_PAGE = 18


@dataclass(frozen=True, slots=True)
class SourceCount:
    source: str
    title: str
    value: int


@dataclass(frozen=True, slots=True)
class ImageCard:
    id: UUID
    file_name: str
    status: str
    counts: Sequence[SourceCount]


@dataclass(frozen=True, slots=True)
class ImageGrid:
    cards: Sequence[ImageCard]
    page_number: int
    num_pages: int
    num_images: int


def image_grid(project: Project, *, page_number: str) -> ImageGrid:
    """One page of the images, oldest first; a page number out of range shows the nearest page."""
    paginator = Paginator(project.images.order_by("created_at", "id"), IMAGES_PER_PAGE)
    page: Page[Image] = paginator.get_page(page_number)
    counts = mask_counts([image.pk for image in page])
    cards = [
        ImageCard(image.pk, image.file_name, image.status, counts.get(image.pk, []))
        for image in page
    ]
    return ImageGrid(cards, page.number, paginator.num_pages, paginator.count)


def mask_counts(image_ids: Sequence[UUID]) -> dict[UUID, list[SourceCount]]:
    """Masks of each image by source, rejected ones left out. Two queries."""
    rows = (
        Mask.objects.filter(image__in=image_ids)
        .exclude(status=MaskStatus.REJECTED.value)
        .values_list("image", "source")
        .annotate(number=Count("pk"))
        .order_by()
    )
    found = Counter({(image_id, source): number for image_id, source, number in rows})
    automatic = MaskSource.AUTOMATIC.value
    for image_id, number in kept_runs(image__in=image_ids).values_list("image", "num_masks"):
        found[image_id, automatic] += number
    return {
        image_id: [
            SourceCount(source, title, found[image_id, source])
            for source, title in SOURCES.items()
            if (image_id, source) in found
        ]
        for image_id in image_ids
    }
