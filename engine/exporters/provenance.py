"""The sidecar with what strict readers of a format would stumble over: who, how, which model."""

from __future__ import annotations

import orjson

from engine.exporters.records import ImageRecord

FILE_NAME = "provenance.jsonl"
_OPTIONS = orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE


def lines(record: ImageRecord) -> bytes:
    """Return one line a mask; `annotation_id` is its id in the export's own files."""
    return b"".join(
        orjson.dumps(
            {
                "annotation_id": mask.number,
                "image_number": record.number,
                "image_id": record.image_id,
                "image_file_name": record.file_name,
                "split": record.split,
                "mask_id": mask.mask_id,
                "revision_id": mask.revision_id,
                "source": mask.source,
                "stage": mask.stage,
                "confirmed_by_a_person": mask.confirmed,
                "author": mask.author,
                "model_version": mask.model_version,
                "annotate_ms": mask.annotate_ms,
                "label": mask.label,
                "prompts": mask.prompts,
                "origin": mask.origin,
            },
            option=_OPTIONS,
        )
        for mask in record.masks
    )
