"""Datasets out: ask for one, write it to a folder, keep the archive."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from django.db import transaction

from engine import storage
from engine.domain.errors import Conflict, InvalidInput
from engine.domain.jobs import JobKind
from engine.domain.roles import Permission
from engine.domain.states import ExportStatus
from engine.exporters import EXPORTERS
from engine.exporters.records import Dataset
from engine.models import Export, Job, Project, User
from engine.services.datasets import export_archive, export_plan, export_records
from engine.services.jobs import jobs
from engine.services.people.roles import require
from engine.services.transitions import move

ARCHIVE_KIND = "exports"


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenExport:
    """A finished archive in storage that no export points to yet."""

    storage_key: str
    num_images: int
    num_masks: int


@transaction.atomic
def request_export(project: Project, *, format: str, actor: User) -> Export:
    """Queue an export of all accepted masks. InvalidInput for an unknown format or no mask."""
    require(actor, Permission.EXPORT, project)
    EXPORTERS.require(format)
    if not export_plan.has_masks(project):
        raise InvalidInput(export_plan.NOTHING)
    export = Export.objects.create(project=project, format=format)
    export.job = jobs.enqueue(
        JobKind.EXPORT,
        project=project,
        args={"export": export.pk},
        idem_key=f"export:{export.pk}",
    )
    export.save(update_fields=["job"])
    return export


def write_export(
    export: Export, out_dir: Path, *, on_progress: Callable[[float, str], None] | None = None
) -> WrittenExport:
    """Write the archive in out_dir and put it into storage; an earlier attempt's shards are kept.

    Needs no transaction: an archive no row points to is harmless, a copy under a lock is not.
    on_progress may raise to stop between two shards. Memory does not grow with the dataset.

    InvalidInput when the project has no accepted mask.
    """
    report = on_progress or (lambda fraction, text: None)
    out_dir.mkdir(parents=True, exist_ok=True)
    report(0.0, "choosing the masks")
    plan = export_plan.load_or_make(export.project, out_dir)
    format = EXPORTERS.require(export.format)
    dataset = Dataset(labels=plan.labels)
    for shard in range(plan.num_shards):
        report(0.9 * shard / plan.num_shards, f"part {shard + 1} of {plan.num_shards}")
        if not export_archive.is_written(out_dir, shard):
            records = export_records.records_of(plan.images_of(shard))
            export_archive.write_shard(out_dir, shard, records, format=format, dataset=dataset)
    report(0.9, "joining the parts")
    path = out_dir / f"{export.project.slug}-{export.format}.zip"
    export_archive.join(out_dir, path, num_shards=plan.num_shards, format=format, dataset=dataset)
    report(0.95, "keeping the archive")
    return WrittenExport(
        storage_key=storage.put_file(ARCHIVE_KIND, path, ".zip"),
        num_images=plan.num_images,
        num_masks=plan.num_masks,
    )


@transaction.atomic
def attach_export_file(export: Export, *, written: WrittenExport) -> Export:
    """Say that the export is ready, and where."""
    export.refresh_from_db()
    if export.status != ExportStatus.PENDING:
        raise Conflict(f"the export is {export.status} already")
    changes = {
        "storage_key": written.storage_key,
        "sha256": storage.sha256_of(written.storage_key),
        "num_masks": written.num_masks,
    }
    move(export, ExportStatus.READY, changes=changes)
    return export


def fail_export(job: Job) -> None:
    """Mark the export of an abandoned job as failed."""
    _move_export(job, ExportStatus.PENDING, ExportStatus.FAILED, reason=job.status)


def reopen_export(job: Job) -> None:
    """Let the export of a job that is tried again wait for it."""
    _move_export(job, ExportStatus.FAILED, ExportStatus.PENDING, reason="retried")


def _move_export(job: Job, expected: ExportStatus, to: ExportStatus, *, reason: str) -> None:
    export = Export.objects.filter(pk=job.args["export"]).first()
    if export is not None and export.status == expected:
        move(export, to, reason=reason)
