"""The table of exports and the formats on offer."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.utils import timezone

from annotator_ui.http.addresses import API_BASE
from annotator_ui.progress import ago
from annotator_ui.wording import tone
from engine import exporters
from engine.domain.states import ExportStatus
from engine.models import Export, Project

NUM_EXPORTS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportChoice:
    """A format that the page offers."""

    name: str
    title: str
    description: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportRow:
    id: UUID
    format: str
    title: str
    status: str
    tone: str
    num_masks: int
    sha256: str
    error: str
    when: str
    file_url: str


def export_choices() -> list[ExportChoice]:
    """One button a format, in the order of the registry."""
    return [
        ExportChoice(name=name, title=one.TITLE, description=one.DESCRIPTION)
        for name, one in exporters.EXPORTERS.items()
    ]


def export_rows(project: Project) -> list[ExportRow]:
    now = timezone.now()
    exports = project.exports.select_related("job").order_by("-created_at")[:NUM_EXPORTS]
    return [_export_row(export, now=now) for export in exports]


def _export_row(export: Export, *, now: datetime) -> ExportRow:
    ready = export.status == ExportStatus.READY
    failed = export.status == ExportStatus.FAILED
    return ExportRow(
        id=export.pk,
        format=export.format,
        title=exporters.title_of(export.format),
        status=export.status,
        tone=tone(export.status),
        num_masks=export.num_masks,
        sha256=export.sha256,
        error=export.job.error if failed and export.job else "",
        when=ago(export.created_at, now=now),
        file_url=f"{API_BASE}/exports/{export.pk}/file" if ready else "",
    )
