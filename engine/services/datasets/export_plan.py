"""What an export will hold, frozen into files at its first attempt.

Revisions are append-only, so the ids of today's heads pin every pixel: whatever people do while
the export is written, and however often it is killed, all shards show one moment.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any
from uuid import UUID

import orjson
from django.db import connection, transaction
from django.db.models import Exists, OuterRef, QuerySet

from engine.domain.errors import InvalidInput
from engine.domain.states import ImageStatus
from engine.models import AutomaticRun, Image, Project
from engine.selectors.masks import accepted_masks
from engine.selectors.packed import kept_runs

MASKS_PER_SHARD = 2_000
IMAGES_PER_SHARD = 200
ROWS_AT_ONCE = 2_000
PLAN = "plan.json"
NOTHING = "there is nothing to export: no mask has been accepted yet"


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """The shape a mask had when the export began, and what may move of the mask itself."""

    revision_id: UUID
    label: str
    reviewed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedImage:
    """An image of the export. Its numbers are those it has in the export's files."""

    number: int
    first_mask: int
    image_id: UUID
    heads: Sequence[Head]
    run_id: UUID | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportPlan:
    """The plan as a whole; the images of each shard are read with `images_of`."""

    folder: Path
    num_shards: int
    num_images: int
    num_masks: int
    labels: tuple[str, ...]

    def images_of(self, shard: int) -> list[PlannedImage]:
        return [
            PlannedImage(
                number=number,
                first_mask=first_mask,
                image_id=UUID(image_id),
                heads=[
                    Head(revision_id=UUID(key), label=label, reviewed=bool(reviewed))
                    for key, label, reviewed in heads
                ],
                run_id=UUID(run_id) if run_id else None,
            )
            for number, first_mask, image_id, heads, run_id in map(
                orjson.loads, _shard_path(self.folder, shard).read_bytes().splitlines()
            )
        ]


def has_masks(project: Project) -> bool:
    """Whether there is anything to export."""
    return _with_masks(project).exists()


def load_or_make(project: Project, folder: Path) -> ExportPlan:
    """Read the plan of an earlier attempt, or make one. InvalidInput when nothing is accepted."""
    stored = folder / PLAN
    if not stored.exists():
        facts = _make(project, folder)
        if facts["num_masks"] == 0:
            raise InvalidInput(NOTHING)
        part = stored.with_suffix(".part")
        part.write_bytes(orjson.dumps(facts))
        part.replace(stored)
    facts = orjson.loads(stored.read_bytes())
    return ExportPlan(folder=folder, **{**facts, "labels": tuple(facts["labels"])})


def _make(project: Project, folder: Path) -> dict[str, Any]:
    num_images = num_masks = num_shards = 0
    labels: set[str] = set()
    lines: list[bytes] = []
    num_in_shard = 0
    for image_id, heads, run in _images(project):
        labels.update(head[1] for head in heads)
        num_images += 1
        line = [num_images, num_masks + 1, image_id.hex, heads, run.pk.hex if run else None]
        lines.append(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE))
        added = len(heads) + (run.num_masks if run else 0)
        num_masks += added
        num_in_shard += added
        if num_in_shard >= MASKS_PER_SHARD or len(lines) >= IMAGES_PER_SHARD:
            _shard_path(folder, num_shards).write_bytes(b"".join(lines))
            num_shards, num_in_shard = num_shards + 1, 0
            lines.clear()
    if lines:
        _shard_path(folder, num_shards).write_bytes(b"".join(lines))
        num_shards += 1
    return {
        "num_shards": num_shards,
        "num_images": num_images,
        "num_masks": num_masks,
        "labels": sorted(labels),
    }


def _images(project: Project) -> Iterator[tuple[UUID, list[list[Any]], AutomaticRun | None]]:
    """Stream the images with accepted masks, oldest first: their heads in order, packed masks."""
    with transaction.atomic():
        _freeze()
        masks = (
            accepted_masks(project)
            .order_by("image__created_at", "image_id", "order", "id")
            .values_list("image_id", "head_id", "label", "reviewed_by_id")
        )
        by_image = groupby(masks.iterator(chunk_size=ROWS_AT_ONCE), key=lambda row: row[0])
        waiting = next(by_image, None)
        for image_id, run in _with_runs(_with_masks(project)):
            heads: list[list[Any]] = []
            if waiting is not None and waiting[0] == image_id:
                heads = [
                    [head.hex, label, int(reviewed is not None)]
                    for _, head, label, reviewed in waiting[1]
                ]
                waiting = next(by_image, None)
            yield image_id, heads, run


def _with_masks(project: Project) -> QuerySet[Image]:
    accepted = accepted_masks(project).filter(image=OuterRef("pk"))
    packed = kept_runs(image=OuterRef("pk"))
    return (
        project.images.exclude(status=ImageStatus.REJECTED.value)
        .filter(Exists(accepted) | Exists(packed))
        .order_by("created_at", "id")
    )


def _with_runs(images: QuerySet[Image]) -> Iterator[tuple[UUID, AutomaticRun | None]]:
    ids = list(images.values_list("pk", flat=True))
    for start in range(0, len(ids), ROWS_AT_ONCE):
        some = ids[start : start + ROWS_AT_ONCE]
        runs = {run.image_id: run for run in kept_runs(image__in=some)}
        yield from ((image_id, runs.get(image_id)) for image_id in some)


def _freeze() -> None:
    """Let all queries of this transaction see one moment (SQLite's do anyway)."""
    if connection.vendor == "postgresql" and len(connection.savepoint_ids) == 0:
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")


def _shard_path(folder: Path, shard: int) -> Path:
    return folder / f"plan-{shard:05d}.jsonl"
