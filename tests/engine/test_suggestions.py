"""Suggestions on demand: who may ask, what is stored when, and who may stop it."""

from __future__ import annotations

import pytest

from engine.domain.errors import NotAllowed, NotReady
from engine.domain.jobs import QUEUES
from engine.domain.proposals import Proposal
from engine.domain.states import JobStatus, MaskSource, MaskStatus, ModelVersionStatus
from engine.models import Assignment, Image, Mask, ModelVersion, Project
from engine.services.jobs import jobs
from engine.services.masks import assignments, masks, suggestions
from tests import factories

pytestmark = pytest.mark.django_db


@pytest.fixture
def project() -> Project:
    return factories.make_project()


@pytest.fixture
def version(project: Project) -> ModelVersion:
    return factories.make_version(project)


@pytest.fixture
def image(project: Project) -> Image:
    return factories.make_image(project)


@pytest.fixture
def assignment(image: Image) -> Assignment:
    return assignments.lease_image(image, annotator=factories.make_user())


def propose(image: Image, version: ModelVersion, *x_px: int, band: int = 0) -> list[Mask]:
    return masks.record_proposals(
        image,
        source=MaskSource.AUTOMATIC,
        status=MaskStatus.PROPOSED,
        model_version=version,
        proposals=[
            Proposal(rle=factories.square(image, x_px=x), predicted_iou=0.95, stability_score=0.99)
            for x in x_px
        ],
        idem_key=f"suggest:{image.pk}:{version.pk}:{band}",
        replace=band == 0,
    )


def test_asking_twice_is_one_job(assignment: Assignment, version: ModelVersion) -> None:
    first = suggestions.request_suggestions(assignment.image, actor=assignment.annotator)
    second = suggestions.request_suggestions(assignment.image, actor=assignment.annotator)

    assert first.pk == second.pk
    assert suggestions.latest_request(assignment.image) == first


def test_only_who_labels_the_image_or_leads_may_ask_and_stop(
    assignment: Assignment, version: ModelVersion, project: Project
) -> None:
    stranger = factories.make_user()
    with pytest.raises(NotAllowed):
        suggestions.request_suggestions(assignment.image, actor=stranger)
    suggestions.request_suggestions(assignment.image, actor=project.created_by)
    with pytest.raises(NotAllowed):
        suggestions.cancel_suggestions(assignment.image, actor=stranger)


def test_without_a_model_there_is_nothing_to_ask(assignment: Assignment) -> None:
    with pytest.raises(NotReady):
        suggestions.request_suggestions(assignment.image, actor=assignment.annotator)


def test_an_annotator_stops_their_own_search_and_a_worker_then_stores_nothing(
    assignment: Assignment, version: ModelVersion
) -> None:
    image = assignment.image
    suggestions.request_suggestions(image, actor=assignment.annotator)
    claim = jobs.claim(QUEUES, worker="w")
    assert claim is not None
    assert jobs.publish(claim, effects=lambda: propose(image, version, 4))
    suggestions.cancel_suggestions(image, actor=assignment.annotator)

    assert not jobs.publish(claim, effects=lambda: propose(image, version, 30, band=1))

    assert image.masks.count() == 1
    job = suggestions.cancel_suggestions(image, actor=assignment.annotator)
    assert job is not None
    assert job.status == JobStatus.CANCELLED


def test_a_worker_that_lost_its_job_publishes_nothing(
    assignment: Assignment, version: ModelVersion
) -> None:
    image = assignment.image
    suggestions.request_suggestions(image, actor=assignment.annotator)
    lost = jobs.claim(QUEUES, worker="w1")
    assert lost is not None
    jobs.release(lost)
    assert jobs.claim(QUEUES, worker="w2") is not None

    assert not jobs.publish(lost, effects=lambda: propose(image, version, 4))
    assert not image.masks.exists()


def test_parts_add_up_wait_for_a_verdict_and_are_stored_once(
    image: Image, version: ModelVersion
) -> None:
    for _ in range(2):
        propose(image, version, 4, band=0)
        propose(image, version, 4, 24, band=1)  # the first repeats what waits already

    found = image.masks.all()
    assert [mask.status for mask in found] == [MaskStatus.PROPOSED] * 2
    assert {mask.source for mask in found} == {MaskSource.AUTOMATIC}


def test_another_models_search_replaces_what_nobody_judged(
    image: Image, version: ModelVersion, assignment: Assignment
) -> None:
    kept, waiting = propose(image, version, 4, 24)
    masks.accept_mask(kept, actor=assignment.annotator)

    propose(image, factories.make_version(image.project, status=ModelVersionStatus.TRAINED), 34)

    kept.refresh_from_db()
    waiting.refresh_from_db()
    assert (kept.status, waiting.status) == (MaskStatus.ACCEPTED, MaskStatus.REJECTED)
    assert image.masks.filter(status=MaskStatus.PROPOSED).count() == 1
