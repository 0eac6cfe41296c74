"""Which masks a small picture of an image shows, as one code that changes when they do."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from uuid import UUID

from engine.domain.states import AutomaticRunStatus, MaskStatus
from engine.models import AutomaticMask, AutomaticRun, Image, Mask
from masks.rle import Rle

_SHOWN = (MaskStatus.ACCEPTED.value, MaskStatus.PROPOSED.value)


def overlay_marks(image_ids: Sequence[UUID]) -> Mapping[UUID, str]:
    """Return a code for each image that has masks to show. Two queries, however many images."""
    digests: dict[UUID, list[bytes]] = defaultdict(list)
    heads = Mask.objects.filter(image__in=list(image_ids), status__in=_SHOWN).order_by("head")
    for image_id, head in heads.values_list("image", "head"):
        digests[image_id].append(head.bytes)
    runs = AutomaticRun.objects.filter(
        image__in=list(image_ids), status=AutomaticRunStatus.KEPT.value
    )
    for image_id, run in runs.values_list("image", "pk"):
        digests[image_id].append(run.bytes)
    return {
        image_id: hashlib.sha256(b"".join(parts)).hexdigest()[:32]
        for image_id, parts in digests.items()
    }


def shown_masks(image: Image) -> list[Rle]:
    """The shapes that an overlay of this image shows."""
    rows = Mask.objects.filter(image=image, status__in=_SHOWN).order_by("order", "id")
    packed = AutomaticMask.objects.filter(
        run__image=image, run__status=AutomaticRunStatus.KEPT.value
    ).order_by("place")
    counts = [
        *rows.values_list("head__rle_counts", flat=True),
        *packed.values_list("rle_counts", flat=True),
    ]
    return [Rle(image.height_px, image.width_px, one) for one in counts]
