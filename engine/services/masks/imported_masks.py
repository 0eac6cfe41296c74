"""Keep the masks that came with a dataset. Importing them again writes nothing twice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from django.db import transaction

from engine.domain.errors import NotReady
from engine.domain.ids import derived_id
from engine.domain.limits import MAX_LABEL_CHARACTERS, MAX_MASKS_PER_IMAGE
from engine.domain.states import MaskSource, MaskStatus, RevisionKind
from engine.importers.records import ForeignMask, RefusedItem
from engine.models import Image, Mask, MaskRevision, User
from engine.selectors.stages import active_stage
from engine.services.images.split import fix_split
from engine.services.json_values import json_safe
from engine.services.masks.shapes import shape_columns


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """How many masks are new, how many were there from an earlier import, and the rest."""

    num_new: int
    num_known: int
    refused: Sequence[RefusedItem]


def mask_id_of(image: Image, mask: ForeignMask) -> UUID:
    """The id of an imported mask: the same annotation with the same pixels is the same mask."""
    return derived_id(f"import:{image.pk}", mask.annotation.annotation_id, mask.rle.sha256)


@transaction.atomic
def record_imported(image: Image, *, masks: Sequence[ForeignMask], actor: User) -> Recorded:
    """Store a dataset's masks as accepted ones. The masks must fit the image.

    The actor answers for them, so models learn from them; only crowds (many objects under one
    mask) stay unconfirmed. No revision has an author: nobody's seconds are counted.
    """
    image = Image.objects.select_for_update(no_key=True).get(pk=image.pk)
    stage = active_stage(image.project)
    if stage is None:
        raise NotReady("this project has no open stage", code="no_stage")
    by_id = {mask_id_of(image, mask): mask for mask in masks}
    known = set(Mask.objects.filter(pk__in=list(by_id)).values_list("pk", flat=True))
    new = [(mask_id, mask) for mask_id, mask in by_id.items() if mask_id not in known]
    first = image.masks.count()
    free = max(MAX_MASKS_PER_IMAGE - first, 0)
    refused = [
        RefusedItem(name=mask.annotation.name, reason=f"its image has {MAX_MASKS_PER_IMAGE} masks")
        for _, mask in new[free:]
    ]
    rows, revisions = [], []
    for place, (mask_id, mask) in enumerate(new[:free]):
        revision_id = derived_id(f"import-revision:{mask_id}")
        rows.append(
            Mask(
                pk=mask_id,
                image=image,
                stage=stage,
                source=MaskSource.IMPORTED.value,
                status=MaskStatus.ACCEPTED.value,
                head_id=revision_id,
                label=_label_of(mask),
                order=first + place,
                reviewed_by=None if mask.annotation.is_crowd else actor,
            )
        )
        revisions.append(
            MaskRevision(
                pk=revision_id,
                mask_id=mask_id,
                kind=RevisionKind.IMPORT.value,
                origin=json_safe(mask.origin),
                **shape_columns(mask.rle),
            )
        )
    Mask.objects.bulk_create(rows)
    MaskRevision.objects.bulk_create(revisions)
    if any(row.reviewed_by_id for row in rows):
        fix_split(image)
    return Recorded(num_new=len(rows), num_known=len(masks) - len(new), refused=refused)


def _label_of(mask: ForeignMask) -> str:
    printable = "".join(one if one.isprintable() else " " for one in mask.annotation.category)
    return " ".join(printable.split())[:MAX_LABEL_CHARACTERS]
