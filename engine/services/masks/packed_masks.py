"""Automatic masks nobody looked at: stored in bulk, and given rows of their own when needed.

Whoever opens one image's masks, or changes one, calls `unpack` first. Whoever counts or streams
many adds selectors/packed.py to what the Mask table says.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import transaction

from engine.domain.ids import derived_id
from engine.domain.proposals import Proposal
from engine.domain.states import AutomaticRunStatus, MaskSource, MaskStatus, RevisionKind
from engine.models import (
    AutomaticMask,
    AutomaticRun,
    EngineStage,
    Image,
    Mask,
    MaskRevision,
    ModelVersion,
)
from engine.selectors.packed import kept_run
from engine.services.masks.bulk import insert_rows
from engine.services.masks.shapes import rle_of, shape_columns
from engine.services.transitions import move

KEPT, UNPACKED, REPLACED = AutomaticRunStatus


def can_pack(proposals: Sequence[Proposal]) -> bool:
    """Tell whether narrow rows can hold all that is known: each has one click inside as prompt."""
    return all(
        one.predicted_iou is not None
        and len(one.prompts) == 1
        and set(one.prompts[0]) == {"type", "x_px", "y_px", "label"}
        and (one.prompts[0]["type"], one.prompts[0]["label"]) == ("point", 1)
        for one in proposals
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class NewRun:
    """What one run found: (mask id, place, proposal) of each mask, best first."""

    image: Image
    stage: EngineStage
    model_version: ModelVersion
    idem_key: str
    chosen: Sequence[tuple[UUID, int, Proposal]]


def store_runs(new: Sequence[NewRun]) -> list[AutomaticRun]:
    """Store runs with their masks, in the caller's transaction. `can_pack` must hold for each."""
    runs = [
        AutomaticRun(
            image=one.image,
            stage=one.stage,
            model_version=one.model_version,
            idem_key=one.idem_key,
            num_masks=len(one.chosen),
        )
        for one in new
    ]
    AutomaticRun.objects.bulk_create(runs)
    insert_rows(AutomaticMask, _packed_rows(zip(new, runs, strict=True)))
    return runs


def _packed_rows(pairs: Iterable[tuple[NewRun, AutomaticRun]]) -> Iterator[tuple[Any, ...]]:
    for new, run in pairs:
        run_id = run.pk
        for mask_id, place, one in new.chosen:
            point = one.prompts[0]
            yield (
                one.predicted_iou,
                one.stability_score,
                float(point["x_px"]),
                float(point["y_px"]),
                mask_id,
                run_id,
                place,
                one.rle.counts,
            )


def replace_kept(image: Image, *, reason: str) -> None:
    """Take out the run that nobody looked at, as another model has something to say."""
    if run := kept_run(image):
        move(run, REPLACED, reason=reason)


@transaction.atomic
def unpack(image: Image) -> int:
    """Give the image's packed masks their own rows under the same ids; return how many.

    Costs one query when there are none. Two at once: the second waits and finds nothing to do.
    """
    if kept_run(image) is None:
        return 0
    Image.objects.select_for_update(no_key=True).get(pk=image.pk)
    run = kept_run(image)
    if run is None:
        return 0
    masks, revisions = rows_of(run, image=image, first_order=image.masks.count())
    move(run, UNPACKED)
    Mask.objects.bulk_create(masks)
    MaskRevision.objects.bulk_create(revisions)
    return len(masks)


def rows_of(
    run: AutomaticRun, *, image: Image, first_order: int = 0
) -> tuple[list[Mask], list[MaskRevision]]:
    """Build the rows that the run's masks have once they are unpacked; nothing is written."""
    masks, revisions = [], []
    packed = run.masks.order_by("place")
    for order, one in enumerate(packed, start=first_order):
        revision = MaskRevision(
            pk=derived_id(run.idem_key, "revision", one.place),
            mask_id=one.pk,
            kind=RevisionKind.PROPOSAL.value,
            model_version_id=run.model_version_id,
            predicted_iou=one.predicted_iou,
            stability_score=one.stability_score,
            prompts=[{"type": "point", "x_px": one.x_px, "y_px": one.y_px, "label": 1}],
            created_at=run.created_at,
            **shape_columns(rle_of(one.rle_counts, image=image)),
        )
        mask = Mask(
            pk=one.pk,
            image=image,
            stage_id=run.stage_id,
            source=MaskSource.AUTOMATIC.value,
            status=MaskStatus.ACCEPTED.value,
            order=order,
            created_at=run.created_at,
        )
        mask.head = revision
        masks.append(mask)
        revisions.append(revision)
    return masks, revisions


def unread_masks(run: AutomaticRun) -> list[Mask]:
    """The run's masks as they will be, without shapes or rows: ids, and what all share."""
    return [
        Mask(
            pk=mask_id,
            image_id=run.image_id,
            stage_id=run.stage_id,
            source=MaskSource.AUTOMATIC.value,
            status=MaskStatus.ACCEPTED.value,
        )
        for mask_id in run.masks.order_by("place").values_list("pk", flat=True)
    ]


def find_mask(mask_id: UUID) -> Mask | None:
    """The mask of that id, unpacked if it has to be; None when there is none."""
    rows = Mask.objects.select_related("head__author", "image").filter(pk=mask_id)
    mask = rows.first()
    if mask is None:
        packed = AutomaticMask.objects.select_related("run__image").filter(pk=mask_id).first()
        if packed is None:
            return None
        unpack(packed.run.image)
        mask = rows.first()  # None when its run was replaced
    return mask
