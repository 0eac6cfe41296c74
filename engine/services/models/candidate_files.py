"""Models that come as files: kept as versions of a project, and put forward to serve.

What was trained here takes the same gate from model_versions.register_checkpoint on.
"""

from __future__ import annotations

from pathlib import Path

from django.db import transaction

from engine.domain.jobs import JobKind
from engine.domain.states import ModelFamily, ModelVersionStatus
from engine.models import Job, ModelVersion, Project, User
from engine.safetensors_header import read_model_header
from engine.selectors.retraining import can_be_measured
from engine.services.jobs import jobs
from engine.services.models import snapshots
from engine.services.models.decoder_files import decoder_columns
from engine.services.models.model_versions import (
    checkpoint_columns,
    next_number,
    promote,
)
from engine.services.transitions import move


def register_files(
    project: Project,
    *,
    family: ModelFamily,
    checkpoint: Path,
    decoder: Path | None = None,
    status: ModelVersionStatus,
    actor: User | None = None,
    trigger: str = "",
) -> ModelVersion:
    """Keep copies of the files as the family's next version, one without parent or snapshot.

    The caller has locked the project. InvalidInput names a file that is no model of ours.
    """
    header = read_model_header(checkpoint)
    return ModelVersion.objects.create(
        project=project,
        family=family.value,
        number=next_number(project, family=family),
        arch=header.arch,
        status=status.value,
        encoder_sha256=header.encoder_sha256,
        config=header.config,
        requested_by=actor,
        trigger=trigger,
        **checkpoint_columns(checkpoint),
        **(decoder_columns(decoder) if decoder is not None else {}),
    )


@transaction.atomic
def put_forward(version: ModelVersion, *, actor: User, reason: str) -> Job | None:
    """Measure a trained version beside the serving one; the job lets it serve if the gate may.

    Without labelled images in both splits there is nothing to measure on: it serves at once, by
    the actor's word, and None is returned. The caller has locked the project.
    """
    if can_be_measured(version.project):
        return jobs.enqueue(
            JobKind.EVALUATE_SAM,
            project=version.project,
            args={
                "model_version": version.pk,
                "snapshot": snapshots.freeze_snapshot(version.project).pk,
            },
            idem_key=evaluation_key(version),
        )
    nothing = "nothing is labelled that it could be measured on"
    move(version, ModelVersionStatus.EVALUATED, actor=actor, reason=nothing)
    promote(version, actor=actor, reason=reason)
    return None


def evaluation_key(version: ModelVersion) -> str:
    """Return the key under which a version's measuring is queued once."""
    return f"evaluate:{version.pk}"
