"""What becomes of a model version when its job is abandoned or tried again (see domain/jobs.py)."""

from __future__ import annotations

from engine.domain.states import ModelFamily, ModelVersionStatus
from engine.models import Job, ModelVersion, Project
from engine.services.models import model_versions
from engine.services.transitions import move


def fail_version(job: Job) -> None:
    """Mark the job's version as failed, with the job's error."""
    if version := ModelVersion.objects.filter(pk=job.args["model_version"]).first():
        model_versions.fail(version, job.error or f"its job was {job.status}")


def reopen_for_training(job: Job) -> None:
    """Make a failed version wait for its training again."""
    _reopen(job, ModelVersionStatus.PENDING)


def reopen_for_evaluation(job: Job) -> None:
    """Make a failed version wait for its evaluation again; what was trained stays."""
    _reopen(job, ModelVersionStatus.TRAINED)


def _reopen(job: Job, to: ModelVersionStatus) -> None:
    version = ModelVersion.objects.filter(pk=job.args["model_version"]).first()
    if version is None or version.status != ModelVersionStatus.FAILED:
        return
    Project.objects.select_for_update(no_key=True).get(pk=version.project_id)
    model_versions.require_none_in_work(version.project, family=ModelFamily(version.family))
    move(version, to, reason="retried", changes={"error": ""})
