"""How fast automatic masks are stored, and what one takes: COPY against Django's bulk_create.

    python -m benchmarks.bulk_masks [--masks 200000] [--sqlite]

Rounds of both sides in turn, in one database with all its constraints and indexes. Goals on
PostgreSQL: 50,000 masks/s, 700 bytes a mask with its indexes.
"""

from __future__ import annotations

import argparse
import itertools
import os
import statistics
import time
from pathlib import Path

from benchmarks.database import HEIGHT_PX, WIDTH_PX, own_database, shapes, table_bytes

MASKS_PER_IMAGE = 100
NUM_SHAPES = 2_000


def server_cpu_s(vendor: str) -> float:
    """Processor seconds of our connection's server process, from /proc; 0 where there is none."""
    if vendor != "postgresql":
        return 0.0
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        stat = Path(f"/proc/{cursor.fetchone()[0]}/stat")
    if not stat.exists():
        return 0.0
    fields = stat.read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--masks", type=int, default=200_000)
    parser.add_argument("--peer-masks", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--images-per-transaction", type=int, default=20)
    parser.add_argument("--sqlite", action="store_true")
    options = parser.parse_args()
    vendor = "sqlite" if options.sqlite else "postgresql"
    with own_database(vendor):
        measure(options, vendor)


def measure(options: argparse.Namespace, vendor: str) -> None:  # noqa: C901 - one experiment
    from django.db import transaction

    from engine.domain.ids import derived_id, derived_ids, uuid7
    from engine.domain.proposals import Proposal
    from engine.models import AutomaticMask, Image, Mask, MaskRevision
    from engine.selectors.stages import active_stage
    from engine.services.masks import packed_masks
    from tests import factories

    project = factories.make_project()
    version = factories.make_version(project)
    stage = active_stage(project)
    assert stage is not None
    made = shapes(NUM_SHAPES)
    mean_bytes = statistics.mean(len(one.counts) for one in made)
    proposals = [
        Proposal(
            rle=one,
            predicted_iou=0.9 + i / 1e6,
            stability_score=0.95,
            prompts=[{"type": "point", "x_px": i + 0.5, "y_px": i / 3, "label": 1}],
        )
        for i, one in enumerate(made)
    ]
    endless = itertools.cycle(proposals)

    def images(num: int) -> list[Image]:
        rows = [
            Image(
                project=project,
                sha256=uuid7().hex * 2,
                storage_key="images/x",
                thumbnail_key="thumbnails/x",
                file_name="x.jpg",
                width_px=WIDTH_PX,
                height_px=HEIGHT_PX,
            )
            for _ in range(num)
        ]
        return Image.objects.bulk_create(rows)

    def store(batch: list[Image], *, by_bulk_create: bool) -> None:
        """Store one run for each image, as a job does, ids and all."""
        new = []
        for image in batch:
            key = f"automask:{image.pk}:{stage.pk}:{version.pk}"
            ids = derived_ids(key, "mask", MASKS_PER_IMAGE)
            chosen = [(mask_id, place, next(endless)) for place, mask_id in enumerate(ids)]
            new.append(
                packed_masks.NewRun(
                    image=image, stage=stage, model_version=version, idem_key=key, chosen=chosen
                )
            )
        if not by_bulk_create:
            packed_masks.store_runs(new)
            return
        for run in new:
            masks, revisions = wide_rows(run.image, run.idem_key, run.chosen)
            Mask.objects.bulk_create(masks)
            MaskRevision.objects.bulk_create(revisions)

    def wide_rows(image: Image, key: str, chosen: list) -> tuple[list[Mask], list[MaskRevision]]:
        masks, revisions = [], []
        for mask_id, place, one in chosen:
            revision_id = derived_id(key, "revision", place)
            masks.append(
                Mask(
                    pk=mask_id,
                    image=image,
                    stage=stage,
                    source="automatic",
                    status="accepted",
                    head_id=revision_id,
                    order=place,
                )
            )
            revisions.append(
                MaskRevision(
                    pk=revision_id,
                    mask_id=mask_id,
                    kind="proposal",
                    model_version=version,
                    predicted_iou=one.predicted_iou,
                    stability_score=one.stability_score,
                    prompts=one.prompts,
                    rle_counts=one.rle.counts,
                    rle_sha256="0" * 64,
                    area_px=1000,
                    bbox_x_px=1,
                    bbox_y_px=1,
                    bbox_w_px=100,
                    bbox_h_px=100,
                )
            )
        return masks, revisions

    cpu = {"client": 0.0, "server": 0.0, "masks": 0.0}

    def timed(num_masks: int, per_transaction: int, *, by_bulk_create: bool) -> float:
        batch = images(num_masks // MASKS_PER_IMAGE)
        started = time.perf_counter()
        client, server = time.process_time(), server_cpu_s(vendor)
        for start in range(0, len(batch), per_transaction):
            with transaction.atomic():
                store(batch[start : start + per_transaction], by_bulk_create=by_bulk_create)
        if not by_bulk_create and per_transaction > 1:
            cpu["client"] += time.process_time() - client
            cpu["server"] += server_cpu_s(vendor) - server
            cpu["masks"] += num_masks
        return num_masks / (time.perf_counter() - started)

    rates: dict[str, list[float]] = {"COPY": [], "COPY, an image a commit": [], "bulk_create": []}
    per = options.images_per_transaction
    timed(2_000, per, by_bulk_create=False)
    timed(1_000, per, by_bulk_create=True)
    for _ in range(options.rounds):
        share = options.masks // options.rounds
        rates["COPY"].append(timed(share, per, by_bulk_create=False))
        rates["COPY, an image a commit"].append(timed(share // 4, 1, by_bulk_create=False))
        rates["bulk_create"].append(
            timed(options.peer_masks // options.rounds, per, by_bulk_create=True)
        )
    print(f"{vendor}, {MASKS_PER_IMAGE} masks an image, {per} images a transaction, mean code")
    print(f"{mean_bytes:.0f} B, load before {os.getloadavg()[0]:.1f}; median [range] of rounds")
    peer = statistics.median(rates["bulk_create"])
    for name, values in rates.items():
        median = statistics.median(values)
        print(
            f"  {name:26s} {median:9,.0f} masks/s [{min(values):,.0f} to {max(values):,.0f}]"
            f"  {median / peer:5.1f} x"
        )
    if vendor == "postgresql":
        client, server = (1e6 * cpu[side] / cpu["masks"] for side in ("client", "server"))
        print(
            f"  COPY costs {client:.1f} us of processor here and {server:.1f} us in the server a "
            f"mask: {1e6 / (client + server):,.0f} masks/s one after the other, "
            f"{1e6 / max(client, server):,.0f} side by side on two free cores"
        )
        narrow = table_bytes("engine_automaticmask", "engine_automaticrun")
        wide = table_bytes("engine_mask", "engine_maskrevision")
        num_narrow, num_wide = AutomaticMask.objects.count(), Mask.objects.count()
        print(
            f"  packed: {narrow / num_narrow:.0f} bytes a mask, tables and indexes ({num_narrow:,})"
        )
        print(f"  rows:   {wide / num_wide:.0f} bytes a mask, tables and indexes ({num_wide:,})")


if __name__ == "__main__":
    main()
