"""What jobs work on, in words: named by `JobSpec.subject`, each function for many jobs at once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar
from uuid import UUID

from django.db.models import Model
from django.utils.module_loading import import_string

from engine.domain.jobs import JOB_SPECS
from engine.exporters import title_of
from engine.models import DatasetImport, Export, Image, Job, ModelVersion

Subjects = Mapping[UUID, str]
Row = TypeVar("Row", bound=Model)


def subjects_of(jobs: Sequence[Job]) -> Subjects:
    """Return what each job works on, by the job's id; some jobs have nothing to name."""
    by_path: dict[str, list[Job]] = defaultdict(list)
    for job in jobs:
        if job.kind in JOB_SPECS and JOB_SPECS[job.kind].subject:
            by_path[JOB_SPECS[job.kind].subject].append(job)
    found: dict[UUID, str] = {}
    for path, some in by_path.items():
        found |= import_string(path)(some)
    return found


def images(jobs: Sequence[Job]) -> Subjects:
    """Name the image file, and the part of it when the job is about one."""

    def words(image: Image, job: Job) -> str:
        crop = job.args.get("crop", "")
        return image.file_name + (f", crop {crop}" if crop else "")

    return _named(jobs, Image, argument="image", words=words)


def model_versions(jobs: Sequence[Job]) -> Subjects:
    """Name the version's number."""
    return _named(
        jobs, ModelVersion, argument="model_version", words=lambda one, job: f"v{one.number}"
    )


def exports(jobs: Sequence[Job]) -> Subjects:
    """Name the format."""
    return _named(jobs, Export, argument="export", words=lambda one, job: title_of(one.format))


def imports(jobs: Sequence[Job]) -> Subjects:
    """Name the dataset."""
    return _named(jobs, DatasetImport, argument="import", words=lambda one, job: one.name)


def _named(
    jobs: Sequence[Job], model: type[Row], *, argument: str, words: Callable[[Row, Job], str]
) -> Subjects:
    ids = {job.pk: UUID(job.args[argument]) for job in jobs}
    rows: Mapping[Any, Row] = model._default_manager.in_bulk(list(ids.values()))
    return {job.pk: words(rows[ids[job.pk]], job) for job in jobs if ids[job.pk] in rows}
