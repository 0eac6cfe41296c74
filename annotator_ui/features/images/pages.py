"""All images of a project, a hundred a page, with their masks drawn over them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlencode
from uuid import UUID

from django.core.paginator import Page, Paginator
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from annotator_ui.features.images.cards import SourceCount, mask_counts
from annotator_ui.http.guard import domain_errors_as_pages
from annotator_ui.http.lookups import project_by_slug
from annotator_ui.http.permissions import actor_of, signed_in_page
from annotator_ui.wording import SOURCES
from engine.domain.roles import Permission
from engine.domain.states import (
    AutomaticRunStatus,
    ImageStatus,
    MaskSource,
    MaskStatus,
)
from engine.models import AutomaticRun, Image, Mask, Project
from engine.selectors.incomplete import has_left_out, remarks_on, was_skipped
from engine.selectors.overlays import overlay_marks

IMAGES_PER_PAGE = 100
MAX_TEXT_CHARACTERS = 100
NO_MASKS = "none"
SKIPPED = "skipped"
LEFT_OUT = "left_out"
REMARKS = {SKIPPED: "skipped", LEFT_OUT: "objects left out"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """What the address asks for; anything unknown asks for nothing."""

    text: str
    status: str
    source: str
    remark: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """`mark`: the code of the picture of its masks, empty without masks.

    `skipped`: why annotators passed it on, empty when nobody did.
    """

    id: UUID
    file_name: str
    status: str
    counts: Sequence[SourceCount]
    mark: str
    num_left_out: int
    skipped: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BrowserPage:
    cards: Sequence[Card]
    filters: Filters
    statuses: Sequence[str]
    sources: Sequence[tuple[str, str]]
    remarks: Sequence[tuple[str, str]]
    num_images: int
    page_number: int
    num_pages: int
    query: str


@require_safe
@signed_in_page
@domain_errors_as_pages
def images(request: HttpRequest, slug: str) -> HttpResponse:
    """Show the images that fit the filters, oldest first."""
    project = project_by_slug(actor_of(request), slug, to=Permission.VIEW)
    filters = filters_of(request)
    page = build(project, filters=filters, page_number=request.GET.get("page", "1"))
    context = {"project": project, "page": page}
    return render(request, "annotator_ui/images/browser.html", context)


def filters_of(request: HttpRequest) -> Filters:
    status, source = request.GET.get("status", ""), request.GET.get("source", "")
    remark = request.GET.get("remark", "")
    text = request.GET.get("q", "").replace("\x00", "").strip()[:MAX_TEXT_CHARACTERS]
    return Filters(
        text=text,
        status=status if status in list(ImageStatus) else "",
        source=source if source in {*SOURCES, NO_MASKS} else "",
        remark=remark if remark in REMARKS else "",
    )


def build(project: Project, *, filters: Filters, page_number: str) -> BrowserPage:
    """Gather one page; eight queries, whatever the size of the project."""
    found = filtered(project, filters).order_by("created_at", "id")
    paginator = Paginator(found, IMAGES_PER_PAGE)
    page: Page[Image] = paginator.get_page(page_number)
    ids = [image.pk for image in page]
    counts, marks, remarks = mask_counts(ids), overlay_marks(ids), remarks_on(ids)
    asked = {
        "q": filters.text,
        "status": filters.status,
        "source": filters.source,
        "remark": filters.remark,
    }
    query = urlencode({name: value for name, value in asked.items() if value})
    return BrowserPage(
        cards=[
            Card(
                id=image.pk,
                file_name=image.file_name,
                status=image.status,
                counts=counts.get(image.pk, []),
                mark=marks.get(image.pk, ""),
                num_left_out=remarks[image.pk].num_left_out if image.pk in remarks else 0,
                skipped=_reasons(remarks[image.pk].skipped) if image.pk in remarks else "",
            )
            for image in page
        ],
        filters=filters,
        statuses=[status.value for status in ImageStatus],
        sources=list(SOURCES.items()),
        remarks=list(REMARKS.items()),
        num_images=paginator.count,
        page_number=page.number,
        num_pages=paginator.num_pages,
        query=f"{query}&" if query else "",
    )


def filtered(project: Project, filters: Filters) -> QuerySet[Image]:
    images = project.images.all()
    if filters.text:
        images = images.filter(file_name__icontains=filters.text)
    if filters.status:
        images = images.filter(status=filters.status)
    if filters.source:
        images = images.filter(_has_masks(filters.source))
    if filters.remark:
        images = images.filter(was_skipped() if filters.remark == SKIPPED else has_left_out())
    return images


def _reasons(skipped: Sequence[str]) -> str:
    return "; ".join(reason or "no reason given" for reason in skipped)


def _has_masks(source: str) -> Q:
    rows = Mask.objects.filter(image=OuterRef("pk")).exclude(status=MaskStatus.REJECTED.value)
    runs = AutomaticRun.objects.filter(image=OuterRef("pk"), status=AutomaticRunStatus.KEPT.value)
    if source == NO_MASKS:
        return ~Q(Exists(rows)) & ~Q(Exists(runs))
    has_rows = Q(Exists(rows.filter(source=source)))
    return has_rows | Q(Exists(runs)) if source == MaskSource.AUTOMATIC else has_rows
