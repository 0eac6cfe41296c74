"""The task of every job kind, as a table."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from engine.domain.jobs import JobKind
from workers.context import Effects, JobContext
from workers.tasks import (
    automask_image,
    embed_image,
    embed_project,
    evaluate_sam,
    export,
    export_decoder,
    import_dataset,
    prelabel_image,
    suggest_masks,
    train_detector,
    train_sam,
)

Task = Callable[[JobContext], Effects]

TASKS: Mapping[JobKind, Task] = {
    JobKind.EMBED_PROJECT: embed_project.run,
    JobKind.EMBED_IMAGE: embed_image.run,
    JobKind.TRAIN_SAM: train_sam.run,
    JobKind.EVALUATE_SAM: evaluate_sam.run,
    JobKind.TRAIN_DETECTOR: train_detector.run,
    JobKind.PRELABEL_IMAGE: prelabel_image.run,
    JobKind.AUTOMASK_IMAGE: automask_image.run,
    JobKind.SUGGEST_MASKS: suggest_masks.run,
    JobKind.EXPORT: export.run,
    JobKind.IMPORT: import_dataset.run,
    JobKind.EXPORT_DECODER: export_decoder.run,
}


def task_of(kind: JobKind | str) -> Task:
    """Return the function that runs a job of this kind."""
    return TASKS[JobKind(kind)]
