"""`train_sam {model_version}`: train a candidate on its frozen snapshot.

Its folder is named by the version, so a run that was killed goes on from its last saved state.
"""

from __future__ import annotations

import shutil
from functools import partial
from typing import Any, cast

from django.db import transaction

from engine import storage
from engine.domain.errors import InvalidInput
from engine.domain.jobs import JobKind
from engine.models import ModelVersion
from engine.services.jobs import jobs
from engine.services.models import model_versions
from sam.checkpoints.checkpoint_files import read_header
from training.finetuning.train import train
from training.loop.config import Trainable, TrainConfig
from training.loop.optimisation import TrainStopped
from workers.execution.context import Effects, JobContext, JobStopped
from workers.model_tasks.candidates import snapshot_of
from workers.model_tasks.training_curve import TrainingCurve
from workers.work_dir import work_dir


def run(context: JobContext) -> Effects:
    version = ModelVersion.objects.select_related("parent", "snapshot").get(
        pk=context.args["model_version"]
    )
    manifest = storage.local_copy(snapshot_of(version).manifest_key)
    if version.parent is None:
        raise InvalidInput("this model version has no parent to start from")
    model_versions.mark_training(version)
    folder = work_dir(version.pk)
    curve = TrainingCurve(context, version)
    try:
        result = train(
            TrainConfig(trainable=cast("Trainable", version.trainable)),
            manifest,
            storage.local_copy(version.parent.checkpoint_key),
            folder,
            on_progress=curve,
            should_stop=context.should_stop,
        )
    except TrainStopped:
        raise JobStopped from None

    def effects() -> dict[str, Any]:
        curve.keep()
        model_versions.register_checkpoint(
            version,
            checkpoint=result.checkpoint_path,
            decoder=result.decoder_path,
            encoder_sha256=result.encoder_sha256,
            config=read_header(result.checkpoint_path).config.to_dict(),
        )
        jobs.enqueue(
            JobKind.EVALUATE_SAM,
            project=context.project,
            args={"model_version": version.pk},
            idem_key=f"evaluate:{version.pk}",
        )
        transaction.on_commit(partial(shutil.rmtree, folder, ignore_errors=True))
        return dict(result.metrics)

    return effects
