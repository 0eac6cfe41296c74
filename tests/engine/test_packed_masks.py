"""Automatic masks in bulk: stored once, counted like any other, rows of their own when opened."""

from __future__ import annotations

from uuid import UUID

import pytest
from django.db import IntegrityError, connection, transaction

from engine.domain.ids import derived_id, derived_ids
from engine.domain.proposals import Proposal
from engine.domain.states import MaskSource
from engine.models import AutomaticMask, AutomaticRun, Image, Mask, MaskRevision, ModelVersion
from engine.selectors import progress, queue
from engine.services.masks import assignments, masks, packed_masks
from tests import factories

pytestmark = pytest.mark.django_db

KEY = "automask:one"


@pytest.fixture
def image() -> Image:
    return factories.make_image(factories.make_project())


@pytest.fixture
def version(image: Image) -> ModelVersion:
    return factories.make_version(image.project)


def propose(image: Image, *, shift_px: int = 0, num: int = 2) -> list[Proposal]:
    return [
        Proposal(
            rle=factories.square(image, x_px=2 + 14 * place + shift_px),
            predicted_iou=0.9 - 0.1 * place,
            stability_score=None if place else 0.96,
            prompts=[factories.click(8.5 + place, 1 / 3)],
        )
        for place in range(num)
    ]


def record(image: Image, version: ModelVersion, *, key: str = KEY, **how: int) -> list[Mask]:
    return masks.record_proposals(
        image,
        source=MaskSource.AUTOMATIC,
        model_version=version,
        proposals=propose(image, **how),
        idem_key=key,
    )


def test_automatic_masks_are_stored_packed_and_once(image: Image, version: ModelVersion) -> None:
    first = record(image, version)
    again = record(image, version)

    assert Mask.objects.count() == MaskRevision.objects.count() == 0
    assert [mask.pk for mask in first] == [mask.pk for mask in again]
    assert [mask.pk for mask in first] == [derived_id(KEY, "mask", place) for place in (0, 1)]
    assert AutomaticMask.objects.count() == AutomaticRun.objects.get().num_masks == 2


def test_unpacked_masks_are_what_was_proposed(image: Image, version: ModelVersion) -> None:
    before = record(image, version)

    assert packed_masks.unpack(image) == 2
    assert packed_masks.unpack(image) == 0

    rows = list(Mask.objects.select_related("head").order_by("order"))
    assert [row.pk for row in rows] == [mask.pk for mask in before]
    for row, proposal in zip(rows, propose(image), strict=True):
        assert (row.source, row.status, row.head.kind) == ("automatic", "accepted", "proposal")
        assert row.head.rle_counts == proposal.rle.counts
        assert row.head.rle_sha256 == proposal.rle.sha256
        assert row.head.predicted_iou == proposal.predicted_iou
        assert row.head.stability_score == proposal.stability_score
        assert row.head.prompts == proposal.prompts
        assert row.head.model_version_id == version.pk
    assert len(record(image, version)) == 2  # a late second run changes nothing
    assert Mask.objects.count() == 2


def test_packed_masks_count_like_rows(image: Image, version: ModelVersion) -> None:
    record(image, version)
    packed = progress.project_figures(image.project)
    packed_masks.unpack(image)
    unpacked = progress.project_figures(image.project)

    assert packed.figures == unpacked.figures
    assert packed.figures.num_automatic_masks == 2
    assert packed.figures.num_images_with_masks == 1
    assert packed.stages[0].figures == unpacked.stages[0].figures


def test_images_without_any_mask_still_come_first(image: Image, version: ModelVersion) -> None:
    record(image, version)
    other = factories.make_image(image.project)

    assert queue.next_images(image.project, factories.make_user(), 2) == [other, image]


def test_another_model_replaces_a_run_that_nobody_opened(
    image: Image, version: ModelVersion
) -> None:
    record(image, version)

    second = record(image, version, key="automask:two", shift_px=1)

    assert AutomaticRun.objects.get(idem_key=KEY).status == "replaced"
    assert packed_masks.unpack(image) == 2
    assert {mask.pk for mask in Mask.objects.all()} == {mask.pk for mask in second}
    assert record(image, version) == []  # the first run again: it is not brought back


def test_judging_one_packed_mask_keeps_its_id_and_the_others(
    image: Image, version: ModelVersion
) -> None:
    first, second = record(image, version)

    masks.reject_mask(first, actor=image.project.created_by)

    assert {mask.pk: mask.status for mask in Mask.objects.all()} == {
        first.pk: "rejected",
        second.pk: "accepted",
    }


def test_a_packed_mask_is_found_by_its_id(image: Image, version: ModelVersion) -> None:
    mask = record(image, version)[1]

    found = packed_masks.find_mask(mask.pk)

    assert found is not None
    assert (found.pk, found.head.parent_id) == (mask.pk, None)
    assert packed_masks.find_mask(UUID(int=0)) is None


def test_a_person_can_draw_over_a_packed_mask(image: Image, version: ModelVersion) -> None:
    mask = record(image, version)[0]
    held = assignments.lease_image(image, annotator=factories.make_user())
    base = derived_id(KEY, "revision", 0)

    saved = factories.save(
        held, mask_id=mask.pk, base_revision_id=base, rle=factories.square(image)
    )

    assert not saved.conflict
    assert (saved.revision.parent_id, saved.revision.kind) == (base, "edit")


def test_packed_rows_are_append_only(image: Image, version: ModelVersion) -> None:
    record(image, version)

    for action in ("UPDATE engine_automaticmask SET place = 9", "DELETE FROM engine_automaticmask"):
        with (
            pytest.raises(IntegrityError, match="append-only"),
            transaction.atomic(),
            connection.cursor() as cursor,
        ):
            cursor.execute(action)


def test_a_run_belongs_to_an_image_once_at_a_time(image: Image, version: ModelVersion) -> None:
    record(image, version)
    run = AutomaticRun.objects.get()
    run.pk, run.idem_key = UUID(int=5), "another"

    with pytest.raises(IntegrityError), transaction.atomic():
        run.save(force_insert=True)


def test_many_derived_ids_are_the_single_ones() -> None:
    assert derived_ids("k:1", "mask", 12) == [derived_id("k:1", "mask", i) for i in range(12)]
