"""A PostgreSQL or SQLite database of a benchmark's own, and rows to hang masks on."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from masks.rle import Rle

SERVER = os.environ.get("SEGLOOP_BENCH_SERVER", "postgresql://postgres@127.0.0.1:5432")
HEIGHT_PX, WIDTH_PX = 1500, 2250


@contextmanager
def own_database(vendor: str) -> Iterator[Path]:
    """Point Django at a new, migrated database, before it is set up; drop it afterwards.

    Yields the data folder.
    """
    name = f"bench_segloop_{os.getpid()}"
    with tempfile.TemporaryDirectory(prefix="segloop-bench-") as folder:
        os.environ["SEGLOOP_DATA_DIR"] = folder
        os.environ["SEGLOOP_STARTER_DIR"] = f"{folder}/none"
        os.environ["DJANGO_SETTINGS_MODULE"] = "engine.settings"
        os.environ["DATABASE_URL"] = f"{SERVER}/{name}" if vendor == "postgresql" else ""
        if vendor == "postgresql":
            _administer(f'CREATE DATABASE "{name}"')
        try:
            import django
            from django.core.management import call_command

            django.setup()
            call_command("migrate", verbosity=0)
            yield Path(folder)
        finally:
            from django.db import connections

            connections.close_all()
            if vendor == "postgresql":
                _administer(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


def shapes(num: int, *, seed: int = 0) -> list[Rle]:
    """Return masks of ragged discs on a photo of SA-1B's size; their codes have about 450 B."""
    rng = np.random.default_rng(seed)
    made = []
    for _ in range(num):
        radius = int(rng.integers(40, 170))
        top, left = rng.integers(0, [HEIGHT_PX - 2 * radius - 2, WIDTH_PX - 2 * radius - 2])
        xs = np.arange(-radius, radius + 1)
        half = np.sqrt(np.maximum(radius**2 - xs**2, 1))
        starts = np.maximum(radius - half + rng.integers(0, 3, xs.size), 0).astype(int)
        ends = np.maximum(radius + half - rng.integers(0, 3, xs.size), starts + 1).astype(int)
        offsets = (left + np.arange(xs.size)) * HEIGHT_PX + top
        marks = np.stack([offsets + starts, offsets + ends], axis=1).ravel()
        runs = np.diff(np.concatenate([[0], marks, [HEIGHT_PX * WIDTH_PX]]))
        made.append(Rle.from_runs(runs, HEIGHT_PX, WIDTH_PX))
    return made


def table_bytes(*tables: str) -> int:
    """Size of PostgreSQL tables with their indexes and overflow."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("CHECKPOINT")
        total = 0
        for table in tables:
            cursor.execute("SELECT pg_total_relation_size(%s)", [table])
            total += cursor.fetchone()[0]
    return total


def _administer(statement: str) -> None:
    import psycopg2

    connection = psycopg2.connect(f"{SERVER}/postgres")
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute(statement)
    connection.close()


def insert_human_masks(
    image: Any, stage: Any, revisions: Sequence[Any], *, labels: Sequence[str] | None = None
) -> None:
    """Give each first revision its accepted mask and store both; `label` is empty by default."""
    from engine.models import Mask, MaskRevision

    Mask.objects.bulk_create(
        Mask(
            pk=one.mask_id,
            image=image,
            stage=stage,
            source="human",
            status="accepted",
            head_id=one.pk,
            order=order,
            label=labels[order] if labels else "",
        )
        for order, one in enumerate(revisions)
    )
    MaskRevision.objects.bulk_create(revisions)
