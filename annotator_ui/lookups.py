"""Find the rows an address names, or say in one sentence that they are not there."""

from __future__ import annotations

from typing import TypeVar
from uuid import UUID

from django.db.models import Model, QuerySet

from engine.domain.errors import NotFound
from engine.models import Assignment, DatasetImport, Export, Image, Job, Mask, ModelVersion, Project
from engine.services import packed_masks

Row = TypeVar("Row", bound=Model)


def _one(rows: QuerySet[Row], what: str, **key: object) -> Row:
    row = rows.filter(**key).first()
    if row is None:
        raise NotFound(f"there is no such {what}")
    return row


def project_by_slug(slug: str) -> Project:
    return _one(Project.objects.all(), "project", slug=slug)


def image_by_id(image_id: UUID) -> Image:
    return _one(Image.objects.select_related("project"), "image", pk=image_id)


def assignment_by_id(assignment_id: UUID) -> Assignment:
    rows = Assignment.objects.select_related("image__project", "stage", "annotator")
    return _one(rows, "assignment", pk=assignment_id)


def mask_by_id(mask_id: UUID) -> Mask:
    mask = packed_masks.find_mask(mask_id)
    if mask is None:
        raise NotFound("there is no such mask")
    return mask


def version_by_id(version_id: UUID) -> ModelVersion:
    return _one(ModelVersion.objects.select_related("project"), "model version", pk=version_id)


def job_by_id(job_id: UUID) -> Job:
    return _one(Job.objects.select_related("project"), "job", pk=job_id)


def export_by_id(export_id: UUID) -> Export:
    return _one(Export.objects.select_related("project", "job"), "export", pk=export_id)


def import_by_id(import_id: UUID) -> DatasetImport:
    rows = DatasetImport.objects.select_related("project", "job", "requested_by")
    return _one(rows, "import", pk=import_id)
