"""Keep what models propose. A person's mask is never touched, and a second run writes nothing."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from uuid import UUID

from django.db import transaction
from django.db.models import Q, QuerySet

from engine.domain.errors import InvalidInput, NotReady
from engine.domain.ids import derived_id, derived_ids
from engine.domain.limits import MAX_MASKS_PER_IMAGE
from engine.domain.policy import Policy
from engine.domain.proposals import Proposal, worth_showing
from engine.domain.states import (
    AutomaticRunStatus,
    ImageStatus,
    MaskSource,
    MaskStatus,
    RevisionKind,
)
from engine.models import AutomaticRun, EngineStage, Image, Mask, MaskRevision, ModelVersion
from engine.selectors.stages import active_stage, stage_policy
from engine.services.json_values import json_safe
from engine.services.masks import packed_masks
from engine.services.masks.shapes import checked_rle, rle_of, shape_columns
from engine.services.transitions import move

FIRST_STATUS = {
    MaskSource.PREFILLED: MaskStatus.PROPOSED,
    MaskSource.AUTOMATIC: MaskStatus.ACCEPTED,
}


@transaction.atomic
def record_proposals(
    image: Image,
    *,
    source: MaskSource,
    model_version: ModelVersion,
    proposals: Sequence[Proposal],
    idem_key: str,
    status: MaskStatus | None = None,
    replace: bool = True,
    policy: Policy | None = None,
) -> list[Mask]:
    """Store the proposals worth showing; return the image's masks that this run made.

    Their ids follow from idem_key and their place, so repeating the run stores nothing twice.
    Older proposals of the same source that nobody touched are rejected; those a person rejected,
    accepted or changed stay, and new ones that merely repeat a kept mask are left out. Automatic
    masks are stored packed (services/packed_masks.py); those returned have no rows and no head yet.
    status: PROPOSED when a person will review each; the source's own when None.
    replace: False for the later parts of a run, which add to what the first part left.
    policy: the stage's own when None; with thresholds fitted for the models at work otherwise.
    """
    source = MaskSource(source)
    if source not in FIRST_STATUS:
        raise InvalidInput("people's masks are saved by save_mask")
    image = Image.objects.select_for_update(no_key=True).get(pk=image.pk)
    stage = active_stage(image.project)
    if stage is None:
        raise NotReady("this project has no open stage", code="no_stage")
    ids = derived_ids(idem_key, "mask", len(proposals))
    made = Mask.objects.filter(pk__in=ids).select_related("head")
    earlier = AutomaticRun.objects.filter(idem_key=idem_key).first()
    if earlier is not None and earlier.status == AutomaticRunStatus.KEPT:
        return packed_masks.unread_masks(earlier)
    if earlier is not None or made.exists() or image.status == ImageStatus.REJECTED:
        return list(made)
    status = FIRST_STATUS[source] if status is None else status
    may_pack = source == MaskSource.AUTOMATIC and status == MaskStatus.ACCEPTED
    if may_pack:
        reason = f"replaced by model version {model_version.number}"
        packed_masks.replace_kept(image, reason=reason)
    else:
        packed_masks.unpack(image)
    if replace:
        _reject_untouched(image, source=source, status=status, model_version=model_version)
    policy = policy or stage_policy(stage)
    kept = _kept(image, source=source, status=status, proposals=proposals, policy=policy)
    chosen = [_canonical(proposals[index], image=image) for index in kept]
    if may_pack and packed_masks.can_pack(chosen):
        new = packed_masks.NewRun(
            image=image,
            stage=stage,
            model_version=model_version,
            idem_key=idem_key,
            chosen=[(ids[i], i, one) for i, one in zip(kept, chosen, strict=True)],
        )
        (run,) = packed_masks.store_runs([new])
        return packed_masks.unread_masks(run)
    _write(
        [
            (ids[i], derived_id(idem_key, "revision", i), one)
            for i, one in zip(kept, chosen, strict=True)
        ],
        image=image,
        stage=stage,
        source=source,
        status=status,
        model_version=model_version,
    )
    return list(made.all())


def _canonical(proposal: Proposal, *, image: Image) -> Proposal:
    """Check the shape, and make the numbers ones that every database takes."""
    return dataclasses.replace(
        proposal,
        rle=checked_rle(proposal.rle, image=image),
        predicted_iou=json_safe(float(proposal.predicted_iou)),
        stability_score=json_safe(proposal.stability_score),
        prompts=json_safe(list(proposal.prompts)),
    )


def _reject_untouched(
    image: Image, *, source: MaskSource, status: MaskStatus, model_version: ModelVersion
) -> None:
    for mask in _untouched(image, source=source, status=status):
        move(
            mask,
            MaskStatus.REJECTED,
            reason=f"replaced by model version {model_version.number}",
        )


def _untouched(image: Image, *, source: MaskSource, status: MaskStatus) -> QuerySet[Mask]:
    return image.masks.filter(
        source=source.value,
        status=status.value,
        reviewed_by__isnull=True,
        head__kind=RevisionKind.PROPOSAL.value,
    )


def _kept(
    image: Image,
    *,
    source: MaskSource,
    status: MaskStatus,
    proposals: Sequence[Proposal],
    policy: Policy,
) -> list[int]:
    """Choose the proposals to store: sound, new, and not what a person already rejected.

    A proposal for a person to review must also differ from those that wait already.
    """
    known = Q(status=MaskStatus.ACCEPTED.value) | Q(
        status=MaskStatus.REJECTED.value, reviewed_by__isnull=False
    )
    if status == MaskStatus.PROPOSED:
        known |= Q(status=MaskStatus.PROPOSED.value)
    existing = [
        rle_of(counts, image=image)
        for counts in image.masks.filter(known).values_list("head__rle_counts", flat=True)
    ]
    kept = worth_showing(proposals, existing=existing, source=source, policy=policy)
    return kept[:MAX_MASKS_PER_IMAGE]


def _write(
    chosen: Sequence[tuple[UUID, UUID, Proposal]],
    *,
    image: Image,
    stage: EngineStage,
    source: MaskSource,
    status: MaskStatus,
    model_version: ModelVersion,
) -> None:
    first = image.masks.count()
    masks, revisions = [], []
    for place, (mask_id, revision_id, proposal) in enumerate(chosen):
        masks.append(
            Mask(
                pk=mask_id,
                image=image,
                stage=stage,
                source=source.value,
                status=status.value,
                head_id=revision_id,
                order=first + place,
            )
        )
        revisions.append(
            MaskRevision(
                pk=revision_id,
                mask_id=mask_id,
                kind=RevisionKind.PROPOSAL.value,
                model_version=model_version,
                predicted_iou=proposal.predicted_iou,
                stability_score=proposal.stability_score,
                prompts=proposal.prompts,
                **shape_columns(proposal.rle),
            )
        )
    Mask.objects.bulk_create(masks, ignore_conflicts=True)
    MaskRevision.objects.bulk_create(revisions, ignore_conflicts=True)
