"""`export_decoder {model_version}`: the decoder of a version that came without one."""

from __future__ import annotations

import shutil
from functools import partial
from typing import Any

from django.db import transaction

from engine.models import ModelVersion
from engine.services.models import model_versions
from sam.export.onnx_decoder import export_decoder
from workers.execution.context import Effects, JobContext
from workers.inference.registry import sam_of
from workers.work_dir import work_dir


def run(context: JobContext) -> Effects:
    version = ModelVersion.objects.get(pk=context.args["model_version"])
    context.report(0.1, "exporting the decoder")
    folder = work_dir(context.job.id)
    report = export_decoder(sam_of(version), folder / "decoder.onnx")

    def effects() -> dict[str, Any]:
        model_versions.attach_decoder(version, decoder=report.path)
        transaction.on_commit(partial(shutil.rmtree, folder, ignore_errors=True))
        return {
            "size_bytes": report.size_bytes,
            "max_logit_difference": report.max_logit_difference,
        }

    return effects
