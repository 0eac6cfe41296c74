"""`import {import}`: add the images and masks of a folder or an archive."""

from __future__ import annotations

from typing import Any

from engine.models import DatasetImport
from engine.services.datasets import imports
from workers.execution.context import Effects, JobContext


def run(context: JobContext) -> Effects:
    dataset = DatasetImport.objects.select_related("project", "requested_by").get(
        pk=context.args["import"]
    )
    report = imports.run_import(dataset, on_progress=context.checkpoint)

    def effects() -> dict[str, Any]:
        imports.attach_report(dataset, report=report)
        return dict(report.counts)

    return effects
