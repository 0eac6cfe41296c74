"""Parents that wait for their children, and who goes first."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from engine.domain.errors import Conflict, NotReady
from engine.domain.jobs import QUEUES, URGENT, JobKind
from engine.models import Image, Job, Project
from engine.selectors.images import for_project
from engine.services.images import embeddings
from engine.services.jobs import jobs
from tests import factories

pytestmark = pytest.mark.django_db


@pytest.fixture
def project() -> Project:
    project = factories.make_project()
    factories.make_version(project)
    return project


def claim() -> jobs.ClaimedJob:
    claimed = jobs.claim(QUEUES, worker="w")
    assert claimed is not None
    return claimed


def start_family(project: Project, *, num_images: int) -> Job:
    """An `embed_project` job whose parts are queued."""
    for _ in range(num_images):
        factories.make_image(project)
    parent = embeddings.request_all(project)
    assert parent is not None
    claimed = claim()
    assert claimed.id == parent.pk
    assert jobs.finish(claimed, effects=lambda: {"num_images": embeddings.request_parts(parent)})
    parent.refresh_from_db()
    return parent


def fresh(job: Job) -> Job:
    return Job.objects.get(pk=job.pk)


def succeed() -> None:
    assert jobs.finish(claim(), effects=lambda: None)


def fail() -> None:
    assert jobs.fail(claim(), error="unreadable", retryable=False)


def test_a_parent_waits_for_its_children_and_shows_how_far_they_are(project: Project) -> None:
    parent = start_family(project, num_images=3)
    assert (parent.status, parent.result) == ("waiting", {"num_images": 3})

    succeed()
    assert (fresh(parent).progress_pct, fresh(parent).progress_text) == (33, "1 of 3 parts")
    succeed()
    succeed()

    assert fresh(parent).status == "succeeded"
    assert fresh(parent).finished_at is not None


def test_a_parent_without_children_is_done_at_once(project: Project) -> None:
    image = factories.make_image(project)
    parent = embeddings.request_all(project)
    assert parent is not None
    image.delete()
    claimed = claim()

    jobs.finish(claimed, effects=lambda: {"num_images": embeddings.request_parts(parent)})

    assert fresh(parent).status == "succeeded"


def test_a_failed_part_fails_the_parent_and_a_retry_runs_only_that_part(project: Project) -> None:
    parent = start_family(project, num_images=3)
    succeed()
    fail()
    succeed()
    assert fresh(parent).status == "failed"
    assert fresh(parent).error == "1 of 3 parts failed; a retry runs only those"

    jobs.retry(fresh(parent), actor=project.created_by)

    assert fresh(parent).status == "waiting"
    assert Job.objects.filter(parent=parent, status="queued").count() == 1
    succeed()
    assert fresh(parent).status == "succeeded"


def test_cancelling_a_parent_cancels_every_part(project: Project) -> None:
    parent = start_family(project, num_images=3)
    succeed()
    running = claim()

    jobs.cancel(parent, actor=project.created_by)

    states = sorted(Job.objects.filter(parent=parent).values_list("status", flat=True))
    assert states == ["cancelled", "running", "succeeded"]
    assert fresh(parent).status == "waiting"  # for the part that is being stopped
    assert jobs.heartbeat(running) is False
    assert jobs.end_cancelled(running)
    assert fresh(parent).status == "cancelled"
    with pytest.raises(Conflict, match="already been cancelled"):
        jobs.cancel(parent, actor=project.created_by)


def test_a_sweep_ends_a_parent_that_nobody_told(project: Project) -> None:
    parent = start_family(project, num_images=1)
    Job.objects.filter(parent=parent).delete()

    jobs.reap()

    assert fresh(parent).status == "succeeded"


def test_a_parent_is_not_started_twice(project: Project) -> None:
    parent = start_family(project, num_images=2)

    assert embeddings.request_all(project) == parent


def image_of(claimed: jobs.ClaimedJob) -> str:
    return str(claimed.args["image"])


def test_images_are_embedded_in_the_order_in_which_people_get_them(project: Project) -> None:
    (done,) = factories.label_images(project, num_images=1)
    with_masks, first, second = (factories.make_image(project) for _ in range(3))
    annotator = factories.make_user()
    from engine.services.masks import assignments

    held = assignments.lease_image(with_masks, annotator=annotator)
    factories.save(held)
    assignments.skip(held, actor=annotator)
    parent = embeddings.request_all(project)
    assert parent is not None
    jobs.finish(claim(), effects=lambda: {"n": embeddings.request_parts(parent)})

    order = [image_of(claim()) for _ in range(4)]

    assert order == [str(image.pk) for image in (first, second, with_masks, done)]


def test_an_image_somebody_looks_at_goes_before_everything_else(project: Project) -> None:
    start_family(project, num_images=3)
    looked_at = Image.objects.order_by("created_at").last()
    assert looked_at is not None

    with pytest.raises(NotReady):
        embeddings.embedding_for(looked_at)

    claimed = claim()
    assert image_of(claimed) == str(looked_at.pk)
    assert Job.objects.get(pk=claimed.id).priority == URGENT
    assert Job.objects.filter(kind=JobKind.EMBED_IMAGE).count() == 3  # raised, not added


def test_a_photo_of_which_only_a_crop_is_embedded_still_lacks_its_own(project: Project) -> None:
    image = factories.make_image(project, width_px=200, height_px=200)
    version = project.model_versions.get()
    key = {"encoder_sha256": version.encoder_sha256}
    embeddings.store_embedding(image, **key, data=b"a", crop="1-0-0")
    assert not for_project(project).get().has_embedding

    parent = embeddings.request_all(project)

    assert parent is not None
    jobs.finish(claim(), effects=lambda: {"n": embeddings.request_parts(parent)})
    assert project.jobs.get(kind=JobKind.EMBED_IMAGE).args == {
        "image": str(image.pk),
        "model_version": str(version.pk),
    }
    embeddings.store_embedding(image, **key, data=b"b")
    assert for_project(project).get().has_embedding
    assert image.embeddings.count() == 2


def test_nothing_is_embedded_for_a_model_that_stopped_serving(project: Project) -> None:
    factories.make_image(project)
    parent = embeddings.request_all(project)
    assert parent is not None
    project.model_versions.update(status="retired")
    factories.make_version(project, encoder_sha256="f" * 64)

    jobs.finish(claim(), effects=lambda: {"n": embeddings.request_parts(parent)})

    assert fresh(parent).result == {"n": 0}
    assert not Job.objects.filter(kind=JobKind.EMBED_IMAGE).exists()


def test_many_jobs_are_queued_in_few_statements(
    project: Project, django_assert_max_num_queries: Any
) -> None:
    requests = [
        jobs.Request(args={"image": uuid4(), "model_version": uuid4()}, idem_key=f"many-{place}")
        for place in range(300)
    ]

    with django_assert_max_num_queries(20):
        first = jobs.enqueue_many(JobKind.EMBED_IMAGE, project=project, requests=requests)
    second = jobs.enqueue_many(JobKind.EMBED_IMAGE, project=project, requests=requests)

    assert (first, second) == (300, 0)
