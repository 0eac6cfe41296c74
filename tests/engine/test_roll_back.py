"""One click back: the version that served before serves again, at once and with its detector."""

from __future__ import annotations

import time

import pytest

from engine.domain.errors import Conflict, InvalidInput, NotAllowed
from engine.domain.states import ModelFamily, ModelVersionStatus
from engine.models import Image, Project, StateChange
from engine.selectors.models import serving_version
from engine.services.models import model_versions
from engine.services.projects import stages
from tests import factories

pytestmark = pytest.mark.django_db
SAM, DETECTOR = ModelFamily
MAX_ROLL_BACK_S = 5.0


@pytest.fixture
def project() -> Project:
    project = factories.make_project()
    factories.make_version(project)
    for _ in range(2):
        newer = factories.make_version(project, status=ModelVersionStatus.RETIRED)
        model_versions.promote(newer, actor=project.created_by)
    return project


def numbers_serving(project: Project) -> list[tuple[str, int]]:
    serving = project.model_versions.filter(status="serving").order_by("family")
    return list(serving.values_list("family", "number"))


def back(project: Project, family: str = SAM) -> int:
    return model_versions.roll_back(project, family=family, actor=project.created_by).number


def test_each_roll_back_goes_one_version_further(project: Project) -> None:
    assert [back(project), back(project)] == [2, 1]
    with pytest.raises(Conflict, match="no earlier version has served"):
        back(project)

    assert numbers_serving(project) == [("sam", 1)]
    last = StateChange.objects.filter(to_state="serving").latest("created_at")
    assert (last.actor, last.reason) == (project.created_by, "rolled back")


def test_it_needs_a_lead_and_a_family_there_is(project: Project) -> None:
    with pytest.raises(NotAllowed):
        model_versions.roll_back(project, family=SAM, actor=factories.make_user())
    with pytest.raises(InvalidInput, match="family must be one of"):
        back(project, "cat")
    with pytest.raises(Conflict, match="no earlier version has served"):
        back(project, DETECTOR)


def test_a_version_that_never_served_is_not_rolled_back_to(project: Project) -> None:
    project.model_versions.filter(number=2).update(status="rejected")

    assert back(project) == 1


def test_the_detector_of_the_old_encoder_comes_back_with_it() -> None:
    project = factories.make_project()
    factories.make_version(project)
    factories.make_version(project, family=DETECTOR, has_decoder=False)
    grown = factories.make_version(
        project, status=ModelVersionStatus.RETIRED, encoder_sha256="f" * 64
    )
    model_versions.promote(grown, actor=project.created_by)
    assert numbers_serving(project) == [("object_detector", 1), ("sam", 2)]
    fitting = factories.make_version(
        project,
        family=DETECTOR,
        status=ModelVersionStatus.RETIRED,
        encoder_sha256="f" * 64,
        has_decoder=False,
    )
    model_versions.promote(fitting, actor=project.created_by)
    assert numbers_serving(project) == [("object_detector", 2), ("sam", 2)]

    back(project)

    assert numbers_serving(project) == [("object_detector", 1), ("sam", 1)]


def test_rolling_back_two_thousand_images_to_another_encoder_takes_a_moment() -> None:
    """The embeddings follow in the background: one job now, its parts later."""
    project = factories.make_project()
    factories.make_version(project, encoder_sha256="a" * 64)
    image = factories.make_image(project)
    Image.objects.bulk_create(
        Image(
            project=project,
            sha256=f"{place:064d}",
            storage_key=image.storage_key,
            thumbnail_key=image.thumbnail_key,
            file_name="copy.png",
            width_px=image.width_px,
            height_px=image.height_px,
        )
        for place in range(2_000)
    )
    newer = factories.make_version(
        project, status=ModelVersionStatus.RETIRED, encoder_sha256="b" * 64
    )
    model_versions.promote(newer, actor=project.created_by)
    stages.advance_stage(project, actor=project.created_by, reason="a test")

    started_s = time.perf_counter()
    back(project)
    took_s = time.perf_counter() - started_s

    serving = serving_version(project, family=SAM)
    assert serving is not None
    assert serving.number == 1
    assert project.jobs.filter(kind="embed_project", status="queued").exists()
    print(f"rolling back took {took_s:.3f} s")
    assert took_s <= MAX_ROLL_BACK_S
