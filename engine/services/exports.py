"""Datasets out: ask for one, write it to a folder, keep the archive."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from django.db import transaction

from engine import storage
from engine.domain.errors import Conflict, InvalidInput
from engine.domain.jobs import JobKind
from engine.domain.roles import Permission
from engine.domain.states import ExportFormat, ExportStatus
from engine.exporters import FORMATS
from engine.exporters.records import ImageRecord, MaskRecord
from engine.models import Export, Image, Mask, Project, User
from engine.selectors.masks import accepted_masks
from engine.services import jobs
from engine.services.roles import require
from engine.services.shapes import rle_of
from engine.services.transitions import move

ARCHIVE_KIND = "exports"
IMAGES_PER_CHUNK = 50
ALREADY_COMPRESSED = {".jpg", ".png", ".webp"}


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenExport:
    """A finished archive in storage that no export points to yet."""

    storage_key: str
    num_images: int
    num_masks: int


@transaction.atomic
def request_export(project: Project, *, format: str, actor: User) -> Export:
    """Queue an export of all accepted masks. InvalidInput for an unknown format."""
    require(actor, Permission.EXPORT, project)
    if format not in list(ExportFormat):
        raise InvalidInput(f"format must be one of {', '.join(ExportFormat)}, not {format!r}")
    export = Export.objects.create(project=project, format=format)
    export.job = jobs.enqueue(
        JobKind.EXPORT,
        project=project,
        args={"export": export.pk},
        idem_key=f"export:{export.pk}",
    )
    export.save(update_fields=["job"])
    return export


def write_export(export: Export, out_dir: Path) -> WrittenExport:
    """Write the archive in out_dir, which it may fill and empty, and put it into storage.

    Needs no transaction: an archive no row points to is harmless, a copy under a lock is not.

    InvalidInput when the project has no accepted mask.
    """
    folder = out_dir / "dataset"
    if folder.exists():  # left over from an attempt that was killed
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    written = FORMATS[ExportFormat(export.format)](_records(export.project), folder)
    if written.num_masks == 0:
        raise InvalidInput("there is nothing to export: no mask has been accepted yet")
    path = out_dir / f"{export.project.slug}-{export.format}.zip"
    _zip(folder, path)
    shutil.rmtree(folder)
    return WrittenExport(
        storage_key=storage.put_file(ARCHIVE_KIND, path, ".zip"),
        num_images=written.num_images,
        num_masks=written.num_masks,
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


def _records(project: Project) -> Iterator[ImageRecord]:
    """Stream the images that have accepted masks, oldest first, a chunk of them at a time."""
    mask_numbers = count(1)
    images = project.images.filter(pk__in=accepted_masks(project).values("image")).order_by(
        "created_at", "id"
    )
    ids = list(images.values_list("pk", flat=True))
    for start in range(0, len(ids), IMAGES_PER_CHUNK):
        chunk = images.filter(pk__in=ids[start : start + IMAGES_PER_CHUNK])
        for place, image in enumerate(chunk, start=start + 1):
            yield _image_record(image, number=place, mask_numbers=mask_numbers)


def _image_record(image: Image, *, number: int, mask_numbers: Iterator[int]) -> ImageRecord:
    masks = (
        accepted_masks(image.project)
        .filter(image=image)
        .select_related("head__author", "head__model_version", "stage")
        .order_by("order", "id")
    )
    return ImageRecord(
        number=number,
        image_id=str(image.pk),
        file_name=image.file_name,
        path=storage.path_of(image.storage_key),
        width_px=image.width_px,
        height_px=image.height_px,
        side=image.side,
        masks=[_mask_record(one, image=image, number=next(mask_numbers)) for one in masks],
    )


def _mask_record(mask: Mask, *, image: Image, number: int) -> MaskRecord:
    head = mask.head
    return MaskRecord(
        number=number,
        mask_id=str(mask.pk),
        revision_id=str(head.pk),
        rle=rle_of(head.rle_counts, image=image),
        area_px=head.area_px,
        bbox_xywh_px=head.bbox_xywh_px,
        predicted_iou=head.predicted_iou,
        stability_score=head.stability_score,
        prompts=head.prompts,
        label=mask.label,
        source=mask.source,
        stage=mask.stage.kind,
        author=head.author.username if head.author else None,
        model_version=head.model_version.number if head.model_version else None,
        annotate_ms=head.annotate_ms,
        confirmed=head.author_id is not None or mask.reviewed_by_id is not None,
    )


def _zip(folder: Path, path: Path) -> None:
    """Pack the folder; the archive has its name only when it is whole."""
    part = path.with_suffix(".part")
    with zipfile.ZipFile(part, "w") as archive:
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                stored = file.suffix in ALREADY_COMPRESSED
                how = zipfile.ZIP_STORED if stored else zipfile.ZIP_DEFLATED
                archive.write(file, file.relative_to(folder), compress_type=how)
    part.replace(path)
