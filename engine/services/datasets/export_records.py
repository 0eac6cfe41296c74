"""Read what a plan froze, as records for the exporters: a few thousand masks at a time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any
from uuid import UUID

from engine import storage
from engine.domain.ids import derived_ids
from engine.domain.states import MaskSource
from engine.exporters.records import ImageRecord, MaskRecord
from engine.models import AutomaticMask, AutomaticRun, Image, MaskRevision
from engine.services.datasets.export_plan import PlannedImage
from masks.overlap import areas_and_boxes
from masks.rle import Rle

MASKS_AT_ONCE = 1_000

_COLUMNS = (
    "pk",
    "mask_id",
    "rle_counts",
    "area_px",
    "bbox_x_px",
    "bbox_y_px",
    "bbox_w_px",
    "bbox_h_px",
    "predicted_iou",
    "stability_score",
    "prompts",
    "annotate_ms",
    "origin",
    "mask__source",
    "mask__stage__kind",
    "author__username",
    "model_version__number",
)


def records_of(planned: Sequence[PlannedImage]) -> Iterator[ImageRecord]:
    """Yield the record of each planned image, in order."""
    for some in _batches(planned):
        images = Image.objects.in_bulk([one.image_id for one in some])
        revisions = _revisions(head.revision_id for one in some for head in one.heads)
        runs, packed = _packed([one.run_id for one in some if one.run_id])
        for one in some:
            image = images[one.image_id]
            masks = _from_rows(one, image=image, revisions=revisions)
            if one.run_id is not None:
                masks += _from_packed(
                    runs[one.run_id],
                    packed[one.run_id],
                    image=image,
                    first=one.first_mask + len(masks),
                )
            yield ImageRecord(
                number=one.number,
                image_id=str(image.pk),
                file_name=image.file_name,
                path=storage.local_copy(image.storage_key),
                sha256=storage.sha256_of(image.storage_key),
                width_px=image.width_px,
                height_px=image.height_px,
                split=image.split,
                masks=masks,
            )


def _batches(planned: Sequence[PlannedImage]) -> Iterator[list[PlannedImage]]:
    batch: list[PlannedImage] = []
    num_masks = 0
    for one in planned:
        batch.append(one)
        num_masks += len(one.heads) + 100 * (one.run_id is not None)
        if num_masks >= MASKS_AT_ONCE:
            yield batch
            batch, num_masks = [], 0
    if batch:
        yield batch


def _revisions(ids: Iterable[UUID]) -> Mapping[UUID, tuple[Any, ...]]:
    rows = MaskRevision.objects.filter(pk__in=list(ids)).order_by().values_list(*_COLUMNS)
    return {row[0]: row for row in rows}


def _from_rows(
    planned: PlannedImage, *, image: Image, revisions: Mapping[UUID, tuple[Any, ...]]
) -> list[MaskRecord]:
    masks = []
    for number, head in enumerate(planned.heads, start=planned.first_mask):
        (key, mask_id, counts, area, x, y, w, h, iou, stability, prompts, ms, origin, *rest) = (
            revisions[head.revision_id]
        )
        source, stage, author, version = rest
        masks.append(
            MaskRecord(
                number=number,
                mask_id=str(mask_id),
                revision_id=str(key),
                rle=Rle(image.height_px, image.width_px, counts),
                area_px=area,
                bbox_xywh_px=(x, y, w, h),
                predicted_iou=iou,
                stability_score=stability,
                prompts=prompts,
                label=head.label,
                source=source,
                stage=stage,
                author=author,
                model_version=version,
                annotate_ms=ms,
                confirmed=author is not None or head.reviewed,
                origin=origin,
            )
        )
    return masks


_Packed = tuple[int, UUID, str, float, float | None, float, float]


def _packed(
    run_ids: Sequence[UUID],
) -> tuple[Mapping[UUID, AutomaticRun], Mapping[UUID, list[_Packed]]]:
    runs = AutomaticRun.objects.select_related("stage", "model_version").in_bulk(list(run_ids))
    columns = ("place", "id", "rle_counts", "predicted_iou", "stability_score", "x_px", "y_px")
    rows = AutomaticMask.objects.filter(run__in=list(run_ids)).order_by("run", "place")
    found: dict[UUID, list[_Packed]] = defaultdict(list)
    for run_id, *row in rows.values_list("run_id", *columns):
        found[run_id].append(tuple(row))
    return runs, found


def _from_packed(
    run: AutomaticRun, rows: Sequence[_Packed], *, image: Image, first: int
) -> list[MaskRecord]:
    rles = [Rle(image.height_px, image.width_px, row[2]) for row in rows]
    areas, boxes = areas_and_boxes(rles)
    places = max((row[0] for row in rows), default=-1) + 1
    revision_ids = derived_ids(run.idem_key, "revision", places)
    return [
        MaskRecord(
            number=number,
            mask_id=str(mask_id),
            revision_id=str(revision_ids[place]),
            rle=rle,
            area_px=area,
            bbox_xywh_px=box,
            predicted_iou=iou,
            stability_score=stability,
            prompts=[{"type": "point", "x_px": x_px, "y_px": y_px, "label": 1}],
            label="",
            source=MaskSource.AUTOMATIC.value,
            stage=run.stage.kind,
            author=None,
            model_version=run.model_version.number,
            annotate_ms=None,
            confirmed=False,
        )
        for number, rle, area, box, (place, mask_id, _, iou, stability, x_px, y_px) in zip(
            range(first, first + len(rows)), rles, areas, boxes, rows, strict=True
        )
    ]
