"""The oracle as an annotator: it leases, reviews, draws and submits through the services."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db.models import Q

from engine.domain.errors import NotReady
from engine.domain.ids import derived_id
from engine.domain.states import MaskSource, MaskStatus
from engine.models import Assignment, Image, Mask, ModelVersion, User
from engine.selectors.masks import for_image
from engine.services.masks import masks
from masks.crops import Crop
from masks.rle import Rle
from workers.replay import oracle
from workers.replay.dataset import DatasetImage
from workers.replay.oracle import Click, DrawnMask
from workers.replay.rounds import Tally
from workers.replay.served_decoder import OpenImage, ServedDecoder


@dataclass(frozen=True, slots=True, kw_only=True)
class Labelled:
    """A labelled image. saved: RLE counts of every saved mask, by revision id."""

    tally: Tally
    saved: Mapping[str, str]


def label_image(
    assignment: Assignment,
    *,
    annotator: User,
    dataset_image: DatasetImage,
    decoder: ServedDecoder,
    version: ModelVersion,
    run_jobs: Callable[[], object],
) -> Labelled:
    """Review the prefilled masks and draw the wanted masks that are missing; do not submit.

    Ids are derived from the image: doing it again after a kill writes nothing twice and returns
    the same counts.

    Args:
        run_jobs: Computes the embeddings that are still missing, of crops around small objects.
    """
    tally = Tally(num_images=1)
    whole = decoder.open(assignment.image)
    accepted = _review_prefilled(
        assignment, annotator=annotator, dataset_image=dataset_image, tally=tally
    )
    saved = {str(mask.head_id): mask.head.rle_counts for mask in accepted.values()}

    def open_region(crop: Crop | None) -> OpenImage:
        if crop is None:
            return whole
        return _open_crop(assignment.image, crop, decoder=decoder, run_jobs=run_jobs)

    for index in dataset_image.wanted:
        if index not in accepted:
            drawn = draw_object(dataset_image.truths[index], open_region)
            rle = Rle.encode(drawn.mask_hw)
            stored = _save(
                drawn, rle, index, assignment=assignment, annotator=annotator, version=version
            )
            saved[str(stored.revision.pk)] = rle.counts
            _count(drawn, tally=tally)
    return Labelled(tally=tally, saved=saved)


def draw_object(truth: oracle.Mask, open_region: Callable[[Crop | None], OpenImage]) -> DrawnMask:
    """Draw one object where the oracle would: in the whole image, or in a crop around it."""
    crop = oracle.crop_of_object(truth)
    opened = open_region(crop)
    opened.start_object()
    if crop is None:
        return oracle.draw(truth, opened.decode)
    xywh_px = crop.xywh_px((truth.shape[0], truth.shape[1]))
    return oracle.draw_in_crop(truth, opened.decode, xywh_px=xywh_px)


def drawn_objects(image: Image, dataset_image: DatasetImage, *, saved: Container[str]) -> list[int]:
    """Return the indices of the true masks that were drawn, by the ids of the saved masks."""
    return [index for index in dataset_image.wanted if str(_ids(image, index)[1]) in saved]


def prefilled_masks(assignment: Assignment) -> list[Mask]:
    """Return the prefilled masks that wait for review or that this annotator has reviewed."""
    waiting = Q(status=MaskStatus.PROPOSED.value) | Q(reviewed_by=assignment.annotator)
    return list(for_image(assignment.image).filter(waiting, source=MaskSource.PREFILLED.value))


def decode_mask(mask: Mask) -> oracle.Mask:
    """Return the pixels of a mask's head revision."""
    image = mask.image
    return Rle(image.height_px, image.width_px, mask.head.rle_counts).decode()


def _review_prefilled(
    assignment: Assignment, *, annotator: User, dataset_image: DatasetImage, tally: Tally
) -> dict[int, Mask]:
    """Accept the prefilled masks that show a true object, by its index; reject the others."""
    proposed = prefilled_masks(assignment)
    matched = oracle.match(
        [decode_mask(mask) for mask in proposed],
        dataset_image.truths,
        min_iou=oracle.ACCEPT_PREFILLED_IOU,
    )
    for place, mask in enumerate(proposed):
        if place in matched:
            masks.accept_mask(mask, actor=annotator)
            tally.num_accepted += 1
        else:
            masks.reject_mask(mask, actor=annotator)
            tally.num_rejected += 1
        tally.seconds += oracle.VERIFY_S
    return {truth: proposed[place] for place, truth in matched.items()}


def _open_crop(
    image: Image, crop: Crop, *, decoder: ServedDecoder, run_jobs: Callable[[], object]
) -> OpenImage:
    try:
        return decoder.open(image, crop=crop)
    except NotReady:  # asking has queued it
        run_jobs()
        return decoder.open(image, crop=crop)


def _save(
    drawn: DrawnMask,
    rle: Rle,
    index: int,
    *,
    assignment: Assignment,
    annotator: User,
    version: ModelVersion,
) -> masks.SavedMask:
    mask_id, revision_id = _ids(assignment.image, index)
    return masks.save_mask(
        assignment,
        actor=annotator,
        mask_id=mask_id,
        revision_id=revision_id,
        rle=rle,
        prompts=_prompts(drawn.clicks, is_brushed=drawn.is_brushed),
        annotate_ms=round(1000 * drawn.seconds),
        model_version_id=version.pk,
    )


def _ids(image: Image, index: int) -> tuple[UUID, UUID]:
    key = f"replay:{image.pk}:{index}"
    return derived_id(key, "mask"), derived_id(key, "revision")


def _prompts(clicks: Sequence[Click], *, is_brushed: bool) -> list[Mapping[str, Any]]:
    prompts: list[Mapping[str, Any]] = [
        {"type": "point", "x_px": click.x_px, "y_px": click.y_px, "label": click.label}
        for click in clicks
    ]
    if is_brushed:
        prompts.append({"type": "brush", "size_px": 8, "strokes": 1})
    return prompts


def _count(drawn: DrawnMask, *, tally: Tally) -> None:
    tally.num_drawn += 1
    tally.num_clicks += len(drawn.clicks)
    tally.num_brushed += drawn.is_brushed
    tally.num_crops += drawn.is_in_crop
    tally.seconds += drawn.seconds
    tally.ious_by_clicks.append(drawn.iou_by_clicks)
