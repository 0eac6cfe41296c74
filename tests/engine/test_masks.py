"""Saving masks: retries, conflicts, late saves, bad input, splits, database constraints."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from engine.domain.errors import Conflict, InvalidInput, NotAllowed, NotFound
from engine.domain.ids import uuid7
from engine.models import Assignment, Image, MaskRevision, Project, StateChange
from engine.services.masks import assignments, masks
from masks.rle import Rle
from tests import factories
from tests.factories import click, save, square

pytestmark = pytest.mark.django_db


@pytest.fixture
def project() -> Project:
    return factories.make_project()


@pytest.fixture
def assignment(project: Project) -> Assignment:
    return assignments.lease_image(factories.make_image(project), annotator=factories.make_user())


def test_a_saved_mask_has_the_exact_pixels_and_numbers_the_server_computed(
    assignment: Assignment,
) -> None:
    rle = square(assignment.image, x_px=5, y_px=7, side_px=9)

    saved = save(assignment, rle=rle, annotate_ms=5200, label=" cup\n")

    revision = MaskRevision.objects.get(pk=saved.revision.pk)
    assert revision.rle_counts == rle.counts
    assert (revision.area_px, revision.bbox_xywh_px) == (81, (5, 7, 9, 9))
    assert revision.rle_sha256 == rle.sha256
    assert revision.prompts == [{"type": "point", "x_px": 8.0, "y_px": 8.0, "label": 1}]
    mask = saved.mask
    assert (mask.status, mask.source, mask.label) == ("accepted", "human", "cup")
    assert mask.head_id == revision.pk
    assert (saved.duplicate, saved.conflict) == (False, False)


def test_a_repeated_save_answers_the_same_and_stores_nothing(assignment: Assignment) -> None:
    ids = {"mask_id": uuid7(), "revision_id": uuid7()}
    first = save(assignment, **ids)

    again = save(assignment, **ids)

    assert (again.duplicate, again.conflict) == (True, False)
    assert again.revision == first.revision
    assert MaskRevision.objects.count() == 1


def test_a_revision_id_cannot_be_used_for_other_pixels(assignment: Assignment) -> None:
    ids = {"mask_id": uuid7(), "revision_id": uuid7()}
    save(assignment, **ids)

    with pytest.raises(Conflict, match="used before"):
        save(assignment, rle=square(assignment.image, side_px=5), **ids)


def test_an_edit_of_the_head_becomes_the_head(assignment: Assignment) -> None:
    first = save(assignment, label="cup")

    second = save(
        assignment,
        mask_id=first.mask.pk,
        base_revision_id=first.revision.pk,
        rle=square(assignment.image, side_px=6),
    )

    assert second.conflict is False
    assert second.mask.head_id == second.revision.pk
    assert second.revision.parent_id == first.revision.pk
    assert second.mask.label == "cup"


def test_an_empty_label_takes_the_label_off(assignment: Assignment) -> None:
    first = save(assignment, label="cup")

    second = save(assignment, mask_id=first.mask.pk, base_revision_id=first.revision.pk, label=" ")

    assert second.conflict is False
    assert second.mask.label == ""


def test_an_edit_of_an_old_revision_is_kept_beside_the_head(assignment: Assignment) -> None:
    first = save(assignment)
    second = save(assignment, mask_id=first.mask.pk, base_revision_id=first.revision.pk)
    late = {
        "mask_id": first.mask.pk,
        "revision_id": uuid7(),
        "base_revision_id": first.revision.pk,
        "rle": square(assignment.image, side_px=3),
    }

    sibling = save(assignment, **late)

    assert sibling.conflict is True
    assert sibling.mask.head_id == second.revision.pk
    assert MaskRevision.objects.get(pk=sibling.revision.pk).area_px == 9
    repeated = save(assignment, **late)
    assert (repeated.duplicate, repeated.conflict) == (True, True)


def test_a_save_after_the_lease_expired_is_still_kept(assignment: Assignment) -> None:
    Assignment.objects.filter(pk=assignment.pk).update(
        lease_expires_at=timezone.now() - timedelta(minutes=1)
    )
    assert assignments.expire_leases() == 1
    assignment.refresh_from_db()
    assert assignment.status == "expired"

    saved = save(assignment)

    assert saved.conflict is False
    assert saved.mask.status == "accepted"


def test_every_save_starts_the_lease_anew(assignment: Assignment) -> None:
    soon = timezone.now() + timedelta(seconds=5)
    Assignment.objects.filter(pk=assignment.pk).update(lease_expires_at=soon)

    save(assignment)

    assert Assignment.objects.get(pk=assignment.pk).lease_expires_at > soon + timedelta(minutes=10)


def test_nobody_saves_into_somebody_elses_assignment(assignment: Assignment) -> None:
    with pytest.raises(NotAllowed, match="somebody else"):
        save(assignment, actor=factories.make_lead())
    assert MaskRevision.objects.count() == 0


@pytest.mark.parametrize(
    ("rle", "sentence"),
    [
        (Rle.encode(np.ones((10, 10), dtype=bool)), "10 x 10 px .* image is 32 x 48 px"),
        (Rle.encode(np.zeros((32, 48), dtype=bool)), "the mask is empty"),
        (Rle(32, 48, "not an rle"), "rle: "),
        (Rle(32, 48, "1" * 4_000_001), "too ragged"),
    ],
)
def test_a_mask_that_makes_no_sense_is_refused_with_a_sentence(
    assignment: Assignment, rle: Rle, sentence: str
) -> None:
    with pytest.raises(InvalidInput, match=sentence):
        save(assignment, rle=rle)
    assert MaskRevision.objects.count() == 0


@pytest.mark.parametrize(
    ("prompt", "sentence"),
    [
        ({"type": "laser"}, r"prompts\[1\]: type must be one of"),
        (click(x_px=500), r"prompts\[1\]: x_px = 500 lies outside the image \(0 to 48\)"),
        (click(y_px=float("nan")), r"prompts\[1\]: y_px"),
        ({**click(), "label": 7}, r"prompts\[1\]: label must be 0 or 1"),
        ({"type": "box", "x0_px": 9, "y0_px": 1, "x1_px": 3, "y1_px": 5}, "a box goes from"),
    ],
)
def test_a_prompt_that_makes_no_sense_is_named(
    assignment: Assignment, prompt: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(InvalidInput, match=sentence):
        save(assignment, prompts=[click(), prompt])


def test_a_model_version_of_another_project_is_not_found(assignment: Assignment) -> None:
    stranger = factories.make_version(factories.make_project("Other"))

    with pytest.raises(NotFound, match="no such model version"):
        save(assignment, model_version_id=stranger.pk)


def test_a_mask_id_belongs_to_one_image(project: Project, assignment: Assignment) -> None:
    mask_id = save(assignment).mask.pk
    other = assignments.lease_image(factories.make_image(project), annotator=factories.make_user())

    with pytest.raises(Conflict, match="another image"):
        save(other, mask_id=mask_id)


def test_the_second_seventh_and_twelfth_labelled_image_are_held_out(project: Project) -> None:
    labelled = factories.label_images(project, num_images=12)

    splits = [image.split for image in labelled]
    assert [place for place, split in enumerate(splits, start=1) if split == "holdout"] == [
        2,
        7,
        12,
    ]
    assert splits.count("train") == 9


def test_an_image_keeps_its_split_when_its_mask_is_rejected(project: Project) -> None:
    _, second = factories.label_images(project, num_images=2)
    masks.reject_mask(second.masks.get(), actor=project.created_by)

    third = factories.label_images(project, num_images=1)[0]

    assert Image.objects.get(pk=second.pk).split == "holdout"
    assert third.split == "train"


def test_a_rejected_mask_can_be_accepted_again_and_the_history_says_who(
    assignment: Assignment,
) -> None:
    mask = save(assignment).mask
    lead = assignment.image.project.created_by

    masks.reject_mask(mask, actor=lead)
    masks.accept_mask(mask, actor=assignment.annotator)

    moves = StateChange.objects.filter(subject_id=mask.pk).order_by("created_at")
    assert [(one.to_state, one.actor) for one in moves] == [
        ("rejected", lead),
        ("accepted", assignment.annotator),
    ]


def test_a_stranger_may_not_judge_masks(assignment: Assignment) -> None:
    mask = save(assignment).mask

    with pytest.raises(NotAllowed):
        masks.reject_mask(mask, actor=factories.make_user())


@pytest.mark.parametrize("statement", ["UPDATE {} SET {} = {}", "DELETE FROM {}"])
@pytest.mark.parametrize(
    ("table", "column"),
    [("engine_maskrevision", "area_px"), ("engine_statechange", "created_at")],
)
def test_the_database_refuses_to_change_history(
    assignment: Assignment, statement: str, table: str, column: str
) -> None:
    masks.reject_mask(save(assignment).mask, actor=assignment.annotator)

    with (
        pytest.raises(IntegrityError, match=f"{table} is append-only"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(statement.format(table, column, column))


def test_the_database_refuses_a_human_revision_without_author(assignment: Assignment) -> None:
    revision = save(assignment).revision
    revision.pk, revision.author = uuid7(), None

    with pytest.raises(IntegrityError, match="revision_author_iff_human"), transaction.atomic():
        revision.save(force_insert=True)
