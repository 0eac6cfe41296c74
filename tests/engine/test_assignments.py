"""Leases: who gets which image, for how long, and one at a time."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from engine.domain.errors import Conflict, NotAllowed
from engine.models import Assignment, Project, User
from engine.selectors.queue import next_images
from engine.services.images import images
from engine.services.masks import assignments
from tests import factories

pytestmark = pytest.mark.django_db


@pytest.fixture
def project() -> Project:
    return factories.make_project()


@pytest.fixture
def ann() -> User:
    return factories.make_user("ann")


@pytest.fixture
def bob() -> User:
    return factories.make_user("bob")


def overdue(assignment: Assignment) -> None:
    Assignment.objects.filter(pk=assignment.pk).update(
        lease_expires_at=timezone.now() - timedelta(seconds=1)
    )


def test_two_annotators_never_get_the_same_image(project: Project, ann: User, bob: User) -> None:
    first, second = factories.make_image(project), factories.make_image(project)

    of_ann = assignments.lease_next(project, annotator=ann)
    of_bob = assignments.lease_next(project, annotator=bob)

    assert of_ann is not None
    assert of_bob is not None
    assert (of_ann.image, of_bob.image) == (first, second)


def test_asking_again_gives_the_image_one_holds(project: Project, ann: User) -> None:
    factories.make_image(project)
    factories.make_image(project)

    first = assignments.lease_next(project, annotator=ann)

    assert assignments.lease_next(project, annotator=ann) == first


def test_nothing_is_left_when_everything_is_done_or_skipped(project: Project, ann: User) -> None:
    factories.make_image(project)
    factories.make_image(project)
    assignments.submit(assignments.lease_next(project, annotator=ann), actor=ann)
    assignments.skip(assignments.lease_next(project, annotator=ann), actor=ann, reason="blurred")

    assert assignments.lease_next(project, annotator=ann) is None


def test_a_skipped_image_goes_to_somebody_else(project: Project, ann: User, bob: User) -> None:
    image = factories.make_image(project)
    assignments.skip(assignments.lease_next(project, annotator=ann), actor=ann)

    of_bob = assignments.lease_next(project, annotator=bob)

    assert of_bob is not None
    assert of_bob.image == image


def test_images_without_masks_come_first(project: Project, ann: User, bob: User) -> None:
    begun, untouched = factories.make_image(project), factories.make_image(project)
    assignment = assignments.lease_image(begun, annotator=ann)
    factories.save(assignment)
    assignments.skip(assignment, actor=ann)

    assert next_images(project, bob, 5) == [untouched, begun]


def test_a_submitted_image_is_done_and_submitting_twice_changes_nothing(
    project: Project, ann: User
) -> None:
    image = factories.make_image(project)
    assignment = assignments.lease_image(image, annotator=ann)

    assignments.submit(assignment, actor=ann)
    assignments.submit(Assignment.objects.get(pk=assignment.pk), actor=ann)

    image.refresh_from_db()
    assert image.status == "done"


def test_an_expired_lease_frees_the_image(project: Project, ann: User, bob: User) -> None:
    image = factories.make_image(project)
    held = assignments.lease_image(image, annotator=ann)
    with pytest.raises(Conflict, match="ann is labelling this image"):
        assignments.lease_image(image, annotator=bob)
    overdue(held)

    assert assignments.lease_image(image, annotator=bob).image == image

    held.refresh_from_db()
    assert held.status == "expired"
    with pytest.raises(Conflict, match="time for this image is over"):
        assignments.extend_lease(held, actor=ann)


def test_an_overdue_lease_nobody_wanted_goes_on(project: Project, ann: User) -> None:
    factories.make_image(project)
    held = assignments.lease_next(project, annotator=ann)
    assert held is not None
    overdue(held)

    again = assignments.lease_next(project, annotator=ann)

    assert again == held
    assert again.lease_expires_at > timezone.now() + timedelta(minutes=14)


def test_opening_another_image_releases_the_first(project: Project, ann: User, bob: User) -> None:
    first, second = factories.make_image(project), factories.make_image(project)
    held = assignments.lease_image(first, annotator=ann)

    assignments.lease_image(second, annotator=ann)

    held.refresh_from_db()
    assert held.status == "released"
    assert assignments.lease_image(first, annotator=bob).image == first


def test_going_to_another_project_releases_the_image(project: Project, ann: User) -> None:
    factories.make_image(project)
    other = factories.make_project("Other")
    factories.make_image(other)
    held = assignments.lease_next(project, annotator=ann)
    assert held is not None

    elsewhere = assignments.lease_next(other, annotator=ann)

    assert elsewhere is not None
    held.refresh_from_db()
    assert (held.status, elsewhere.status) == ("released", "leased")


def test_rejected_images_are_not_given_out(project: Project, ann: User) -> None:
    image = factories.make_image(project)
    images.reject_image(image, actor=project.created_by, reason="a screenshot")

    assert assignments.lease_next(project, annotator=ann) is None
    with pytest.raises(Conflict, match="rejected"):
        assignments.lease_image(image, annotator=ann)


def test_only_the_annotator_submits(project: Project, ann: User, bob: User) -> None:
    held = assignments.lease_image(factories.make_image(project), annotator=ann)

    with pytest.raises(NotAllowed):
        assignments.submit(held, actor=bob)


def test_the_database_refuses_a_second_lease_of_an_image(
    project: Project, ann: User, bob: User
) -> None:
    held = assignments.lease_image(factories.make_image(project), annotator=ann)
    held.pk, held.annotator = None, bob

    with (
        pytest.raises(IntegrityError, match=r"assignment_one_lease_per_image|image_id"),
        transaction.atomic(),
    ):
        held.save(force_insert=True)
