"""What else changes when a job is given up or tried again: its model version, its export.

Loaded once by the app's configuration; jobs.py itself knows no other table.
"""

from __future__ import annotations

from engine.domain.jobs import JobKind
from engine.domain.states import ExportStatus, ImportStatus, ModelFamily, ModelVersionStatus
from engine.models import DatasetImport, Export, Job, ModelVersion, Project
from engine.services.jobs import jobs
from engine.services.models import model_versions
from engine.services.transitions import move


def register() -> None:
    """Connect every job kind that leaves something behind."""
    training = jobs.Hooks(given_up=_fail_version, tried_again=_reopen_version)
    for kind in (JobKind.TRAIN_SAM, JobKind.TRAIN_DETECTOR):
        jobs.hook(kind, training)
    jobs.hook(JobKind.EVALUATE_SAM, jobs.Hooks(given_up=_fail_version, tried_again=_measure_again))
    jobs.hook(JobKind.EXPORT, jobs.Hooks(given_up=_fail_export, tried_again=_reopen_export))
    jobs.hook(JobKind.IMPORT, jobs.Hooks(given_up=_fail_import, tried_again=_reopen_import))


def _fail_version(job: Job) -> None:
    if version := ModelVersion.objects.filter(pk=job.args["model_version"]).first():
        model_versions.fail(version, job.error or f"its job was {job.status}")


def _reopen_version(job: Job) -> None:
    _try_again(job, ModelVersionStatus.PENDING)


def _measure_again(job: Job) -> None:
    _try_again(job, ModelVersionStatus.TRAINED)


def _try_again(job: Job, to: ModelVersionStatus) -> None:
    version = ModelVersion.objects.filter(pk=job.args["model_version"]).first()
    if version is None or version.status != ModelVersionStatus.FAILED:
        return
    Project.objects.select_for_update(no_key=True).get(pk=version.project_id)
    model_versions.require_none_in_work(version.project, family=ModelFamily(version.family))
    move(version, to, reason="retried", changes={"error": ""})


def _fail_export(job: Job) -> None:
    export = Export.objects.filter(pk=job.args["export"]).first()
    if export is not None and export.status == ExportStatus.PENDING:
        move(export, ExportStatus.FAILED, reason=job.status)


def _reopen_export(job: Job) -> None:
    export = Export.objects.filter(pk=job.args["export"]).first()
    if export is not None and export.status == ExportStatus.FAILED:
        move(export, ExportStatus.PENDING, reason="retried")


def _fail_import(job: Job) -> None:
    run = DatasetImport.objects.filter(pk=job.args["import"]).first()
    if run is not None and run.status == ImportStatus.PENDING:
        move(run, ImportStatus.FAILED, reason=job.status)


def _reopen_import(job: Job) -> None:
    run = DatasetImport.objects.filter(pk=job.args["import"]).first()
    if run is not None and run.status == ImportStatus.FAILED:
        move(run, ImportStatus.PENDING, reason="retried")
