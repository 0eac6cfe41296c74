"""`export {export}`: write all accepted masks as a dataset archive, shard by shard."""

from __future__ import annotations

import shutil
from functools import partial
from typing import Any

from django.db import transaction

from engine.models import Export
from engine.services.datasets import exports
from workers.execution.context import Effects, JobContext
from workers.work_dir import work_dir


def run(context: JobContext) -> Effects:
    export = Export.objects.select_related("project").get(pk=context.args["export"])
    folder = work_dir(export.pk)
    written = exports.write_export(export, folder, on_progress=context.checkpoint)

    def effects() -> dict[str, Any]:
        exports.attach_export_file(export, written=written)
        transaction.on_commit(partial(shutil.rmtree, folder, ignore_errors=True))
        return {"num_images": written.num_images, "num_masks": written.num_masks}

    return effects
