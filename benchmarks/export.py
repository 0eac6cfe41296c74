"""How fast a dataset is exported, and how much memory that takes, against Label Studio's converter.

    python -m benchmarks.export [--images 1000] [--format coco] [--postgresql]
        [--peer-python VENV/bin/python]

100 masks an image, half of the images with rows, half packed. The export runs in a process of its
own, whose memory is watched. The peer is label-studio-sdk's brush-to-COCO converter on some of the
same masks (its annotations are prepared first, untimed); it pins other versions than we do, so
give it an environment: python -m venv VENV && VENV/bin/pip install 'label-studio-sdk>=2.1,<2.2'
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from benchmarks.common import SAMPLE_IMAGE
from benchmarks.database import (
    HEIGHT_PX,
    WIDTH_PX,
    insert_human_masks,
    own_database,
    shapes,
)
from masks.rle import Rle

MASKS_PER_IMAGE = 100
NUM_SHAPES = 2_000
NUM_PEER_MASKS = 40
WATCH_EVERY_S = 0.01

PEER = """
import json, sys, tempfile, time
import numpy as np
from label_studio_sdk.converter import brush
from label_studio_sdk.converter.exports.brush_to_coco import convert_to_coco

items = []
for number, runs in enumerate(json.load(sys.stdin)):
    size = runs["size"]
    values = np.zeros(len(runs["runs"]), np.uint8)
    values[1::2] = 255
    mask = np.repeat(values, runs["runs"]).reshape(size, order="F")
    drawn = {
        "type": "brushlabels", "rle": brush.mask2rle(mask), "brushlabels": ["object"],
        "original_width": size[1], "original_height": size[0]}
    items.append({
        "id": number, "completed_by": {"id": 1, "email": "a@b.c"},
        "input": {"image": f"{number}.jpg"}, "output": {"tag": [drawn]}})
with tempfile.TemporaryDirectory() as folder:
    started = time.perf_counter()
    convert_to_coco(items, folder)
    print(json.dumps(time.perf_counter() - started))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=1_000)
    parser.add_argument("--format", choices=["coco", "sa1b"], default="coco")
    parser.add_argument("--postgresql", action="store_true")
    parser.add_argument("--peer-python", type=Path, help="has label-studio-sdk")
    parser.add_argument("--only", help=argparse.SUPPRESS)  # the export's own process
    options = parser.parse_args()
    if options.only:
        print(json.dumps(export_here(options.only)))
        return
    with own_database("postgresql" if options.postgresql else "sqlite"):
        from django.db import transaction

        with transaction.atomic():
            export_id = fill(options)
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.export", "--only", export_id],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            sys.exit(done.stderr)
        ours = json.loads(done.stdout.splitlines()[-1])
    rate = ours["num_masks"] / ours["seconds"]
    print(
        f"{options.format}, {'postgresql' if options.postgresql else 'sqlite'}: "
        f"{ours['num_masks']:,} masks on {options.images:,} images in {ours['seconds']:.1f} s "
        f"({ours['cpu_s']:.1f} s of processor): {rate:,.0f} masks/s, memory grew by "
        f"{ours['grown_mb']:.0f} MB, archive {ours['archive_mb']:.0f} MB, "
        f"load {os.getloadavg()[0]:.1f}"
    )
    if options.peer_python:
        peer = peer_rate(options.peer_python, shapes(NUM_SHAPES)[:NUM_PEER_MASKS])
        print(
            f"label-studio-sdk, {NUM_PEER_MASKS} of these masks: {peer:.2f} masks/s; "
            f"ours is {rate / peer:,.0f} times as fast"
        )


def fill(options: argparse.Namespace) -> str:
    """Make the project and ask for its export."""
    from engine import storage
    from engine.domain.ids import derived_ids, uuid7
    from engine.domain.proposals import Proposal
    from engine.models import Image, MaskRevision
    from engine.selectors.stages import active_stage
    from engine.services.datasets import exports
    from engine.services.masks import packed_masks
    from engine.services.masks.shapes import shape_columns
    from tests import factories

    project = factories.make_project()
    version = factories.make_version(project)
    author = factories.make_user()
    stage = active_stage(project)
    assert stage is not None
    key = storage.put_file("images", SAMPLE_IMAGE, ".jpg")
    made = shapes(NUM_SHAPES)
    columns = [shape_columns(one) for one in made]
    images = Image.objects.bulk_create(
        Image(
            project=project,
            sha256=uuid7().hex * 2,
            storage_key=key,
            thumbnail_key=key,
            file_name="photo.jpg",
            width_px=WIDTH_PX,
            height_px=HEIGHT_PX,
        )
        for _ in range(options.images)
    )
    click = [{"type": "point", "x_px": 10.5, "y_px": 20.25, "label": 1}]
    for number, image in enumerate(images):
        places = [(number * MASKS_PER_IMAGE + i) % NUM_SHAPES for i in range(MASKS_PER_IMAGE)]
        if number % 2:
            ids = derived_ids(str(image.pk), "mask", MASKS_PER_IMAGE)
            chosen = [
                (
                    mask_id,
                    i,
                    Proposal(
                        rle=made[place], predicted_iou=0.9, stability_score=0.97, prompts=click
                    ),
                )
                for i, (mask_id, place) in enumerate(zip(ids, places, strict=True))
            ]
            packed_masks.store_runs(
                [
                    packed_masks.NewRun(
                        image=image,
                        stage=stage,
                        model_version=version,
                        idem_key=str(image.pk),
                        chosen=chosen,
                    )
                ]
            )
            continue
        revisions = [
            MaskRevision(
                mask_id=uuid7(),
                kind="create",
                author=author,
                prompts=click,
                annotate_ms=4000,
                **columns[place],
            )
            for place in places
        ]
        labels = ["" if order % 3 else "cat" for order in range(len(revisions))]
        insert_human_masks(image, stage, revisions, labels=labels)
    export = exports.request_export(project, format=options.format, actor=project.created_by)
    return str(export.pk)


def export_here(export_id: str) -> dict[str, Any]:
    """Write the export in this process and watch its memory."""
    import django

    django.setup()
    from engine import storage
    from engine.models import Export
    from engine.services.datasets import exports

    export = Export.objects.select_related("project").get(pk=export_id)
    watch = Watch()
    cpu_s, started = time.process_time(), time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        written = exports.write_export(export, Path(folder))
    return {
        "seconds": time.perf_counter() - started,
        "cpu_s": time.process_time() - cpu_s,
        "num_masks": written.num_masks,
        "grown_mb": watch.end(),
        "archive_mb": storage.local_copy(written.storage_key).stat().st_size / 2**20,
    }


class Watch(threading.Thread):
    """Follow this process's resident memory."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self._over = threading.Event()
        self._first = self._most = self._resident()
        self.start()

    def run(self) -> None:
        while not self._over.wait(WATCH_EVERY_S):
            self._most = max(self._most, self._resident())

    def end(self) -> float:
        """Return by how many MB it grew at most."""
        self._over.set()
        self.join()
        return (self._most - self._first) * os.sysconf("SC_PAGE_SIZE") / 2**20

    @staticmethod
    def _resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1])


def peer_rate(python: Path, rles: list[Rle]) -> float:
    runs = [{"size": [one.height_px, one.width_px], "runs": one.runs().tolist()} for one in rles]
    done = subprocess.run(
        [python, "-c", PEER], input=json.dumps(runs), capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(done.stderr)
    return len(rles) / float(done.stdout.splitlines()[-1])


if __name__ == "__main__":
    main()
