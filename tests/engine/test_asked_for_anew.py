"""Another model takes over while machine-made masks are still to be made: each is made once."""

from __future__ import annotations

from collections import Counter

import pytest

from engine.domain.jobs import QUEUES
from engine.domain.states import ModelFamily, ModelVersionStatus, StageStatus
from engine.models import ModelVersion, Project
from engine.selectors.stages import active_stage
from engine.services.jobs import jobs, proposals
from engine.services.masks import assignments
from engine.services.models import model_versions
from engine.services.projects import stages
from tests import factories

pytestmark = pytest.mark.django_db
NUM_IMAGES = 3


@pytest.fixture
def project() -> Project:
    """In the second stage, with every image to be prefilled."""
    project = factories.make_project()
    for _ in range(NUM_IMAGES):
        factories.make_image(project)
    factories.make_version(project)
    factories.make_version(project, family=ModelFamily.OBJECT_DETECTOR, has_decoder=False)
    project.jobs.all().delete()
    stages.advance_stage(project, actor=project.created_by, reason="a test")
    assert prelabellings(project) == {"queued": NUM_IMAGES}
    return project


def prelabellings(project: Project) -> Counter[str]:
    rows = project.jobs.filter(kind="prelabel_image")
    return Counter(rows.values_list("status", flat=True))


def another(project: Project, *, family: ModelFamily, **values: object) -> ModelVersion:
    return factories.make_version(
        project,
        family=family,
        status=ModelVersionStatus.RETIRED,
        has_decoder=family == ModelFamily.SAM,
        **values,  # type: ignore[arg-type]
    )


@pytest.mark.parametrize("family", ModelFamily)
def test_what_waits_is_cancelled_and_asked_for_anew(project: Project, family: ModelFamily) -> None:
    better = another(project, family=family)

    model_versions.promote(better, actor=project.created_by, reason="better")

    assert prelabellings(project) == {"cancelled": NUM_IMAGES, "queued": NUM_IMAGES}
    waiting = project.jobs.filter(kind="prelabel_image", status="queued")
    assert all(f"{family}2" in job.idem_key for job in waiting)
    assert waiting.values("args__image").distinct().count() == NUM_IMAGES


def test_what_runs_or_is_done_stays(project: Project) -> None:
    others = project.jobs.exclude(kind="prelabel_image")
    others.delete()
    done, running = (jobs.claim(QUEUES, worker="one") for _ in range(2))
    assert done is not None
    assert running is not None
    jobs.finish(done, effects=dict)
    better = another(project, family=ModelFamily.OBJECT_DETECTOR)

    model_versions.promote(better, actor=project.created_by, reason="better")

    assert prelabellings(project) == {
        "succeeded": 1,
        "running": 1,
        "cancelled": NUM_IMAGES - 2,
        "queued": NUM_IMAGES,
    }


def test_asking_again_for_the_same_models_changes_nothing(project: Project) -> None:
    proposals.request_for_project(project)

    assert prelabellings(project) == {"queued": NUM_IMAGES}


def test_with_an_encoder_that_no_detector_reads_nothing_is_prefilled(project: Project) -> None:
    strange = another(project, family=ModelFamily.SAM, encoder_sha256="c" * 64)

    model_versions.promote(strange, actor=project.created_by, reason="larger")

    assert prelabellings(project) == {"cancelled": NUM_IMAGES}


def test_a_stage_that_drains_is_left_as_it_is(project: Project) -> None:
    image = project.images.first()
    assignments.lease_image(image, annotator=factories.make_user())
    stages.go_back(project, actor=project.created_by, reason="poor prefill")
    stage = active_stage(project)
    assert stage is not None
    assert stage.status == StageStatus.DRAINING
    better = another(project, family=ModelFamily.SAM)

    model_versions.promote(better, actor=project.created_by, reason="better")

    assert prelabellings(project) == {"queued": NUM_IMAGES}


def test_automatic_masks_are_asked_for_anew_too(project: Project) -> None:
    stages.advance_stage(project, actor=project.created_by, reason="a test")
    better = another(project, family=ModelFamily.SAM)

    model_versions.promote(better, actor=project.created_by, reason="better")

    rows = project.jobs.filter(kind="automask_image").values_list("status", flat=True)
    assert Counter(rows) == {"cancelled": NUM_IMAGES, "queued": NUM_IMAGES}
