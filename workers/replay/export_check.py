"""Check that the exported dataset holds exactly the masks that the oracle saved."""

from __future__ import annotations

import json
import zipfile
from io import BytesIO

from engine import storage
from engine.services.datasets import exports
from workers.replay.rounds import ExportCheck
from workers.replay.session import ReplaySession, run_jobs


def check_export(session: ReplaySession) -> ExportCheck:
    """Export as COCO and compare the file with the masks that the oracle saved."""
    export = exports.request_export(session.project, format="coco", actor=session.lead)
    run_jobs(session)
    export.refresh_from_db()
    exported = exported_counts(storage.read_bytes(export.storage_key))
    saved: dict[str, str] = {}
    for noted in session.journal.all("image").values():
        saved |= noted["saved"]
    return ExportCheck(
        num_saved=len(saved),
        num_exported=len(exported),
        num_equal=sum(exported.get(key) == counts for key, counts in saved.items()),
    )


def exported_counts(archive: bytes) -> dict[str, str]:
    """Return the RLE counts of every mask in a COCO export, by revision id."""
    with zipfile.ZipFile(BytesIO(archive)) as files:
        coco = json.loads(files.read("annotations.json"))
        provenance = files.read("provenance.jsonl").decode().splitlines()
    revisions = {line["annotation_id"]: line["revision_id"] for line in map(json.loads, provenance)}
    return {
        revisions[annotation["id"]]: annotation["segmentation"]["counts"]
        for annotation in coco["annotations"]
    }
