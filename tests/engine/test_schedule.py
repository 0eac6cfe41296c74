"""When a model is trained next: the rule, and the sweepers that act on it."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta

import pytest

from engine.domain.errors import Conflict, InvalidInput
from engine.domain.policy import Policy
from engine.domain.schedule import Facts, PlanState, RoundSize, plan, round_size
from engine.domain.states import ModelFamily, ModelVersionStatus
from engine.models import ModelVersion, Project
from engine.selectors.retraining import plan_for
from engine.services.jobs import jobs
from engine.services.models import model_versions, schedules
from engine.services.projects import policies, stages
from tests import factories

NOW = datetime(2030, 1, 2, 12, tzinfo=UTC)
SAM, DETECTOR = ModelFamily


def planned(
    masks: int, *, last: int | None = None, hours_ago: float = 1, policy: Policy, **more: str
) -> tuple[PlanState, int | None]:
    asked_at = NOW - timedelta(hours=hours_ago) if last is not None else None
    facts = Facts(num_masks=masks, last_num_masks=last, last_asked_at=asked_at, now=NOW, **more)
    found = plan(facts, policy=policy)
    return found.state, found.at_masks


def test_the_first_round_waits_for_the_first_masks() -> None:
    policy = Policy()

    assert planned(0, policy=policy) == (PlanState.WAITING, 20)
    assert planned(19, policy=policy) == (PlanState.WAITING, 20)
    assert planned(20, policy=policy)[0] == PlanState.DUE


def test_rounds_follow_the_growth_of_the_masks() -> None:
    policy = Policy()

    marks = [20]
    while len(marks) < 5:
        marks.append(planned(0, last=marks[-1], policy=policy)[1] or 0)

    assert marks == [20, 30, 45, 68, 102]
    assert planned(29, last=20, policy=policy)[0] == PlanState.WAITING
    assert planned(30, last=20, policy=policy)[0] == PlanState.DUE


def test_of_two_rules_the_one_that_comes_first_counts() -> None:
    policy = Policy(retrain_every_masks=25)

    assert planned(0, last=20, policy=policy)[1] == 30
    assert planned(0, last=100, policy=policy)[1] == 125


def test_by_the_clock_only_when_masks_are_new() -> None:
    policy = Policy(retrain_growth=0, retrain_every_hours=24)

    assert planned(21, last=20, hours_ago=23.9, policy=policy)[0] == PlanState.WAITING
    assert planned(21, last=20, hours_ago=24, policy=policy)[0] == PlanState.DUE
    assert planned(20, last=20, hours_ago=99, policy=policy)[0] == PlanState.WAITING


def test_a_schedule_that_is_off_stays_off_but_says_so() -> None:
    policy = Policy(retrain_growth=0)

    assert planned(500, policy=policy)[0] == PlanState.OFF


def test_what_runs_or_is_missing_is_told_instead_of_started() -> None:
    policy = Policy()
    running = {"in_work": "version 2 is training"}
    missing = {"obstacle": "no labelled image is left to be measured on"}

    assert planned(99, policy=policy, **running)[0] == PlanState.RUNNING
    assert planned(99, policy=policy, **missing)[0] == PlanState.BLOCKED
    assert planned(5, policy=policy, **missing)[0] == PlanState.WAITING


@pytest.mark.parametrize("growth", [0.5, 1.0, 1.04, -1])
def test_a_growth_that_would_train_without_end_is_refused(growth: float) -> None:
    with pytest.raises(InvalidInput, match="retrain_growth"):
        Policy(retrain_growth=growth)


@pytest.mark.parametrize(
    ("masks", "size"),
    [
        (20, RoundSize.DECODER),
        (1_999, RoundSize.DECODER),
        (2_000, RoundSize.LOW_RANK),
        (20_000, RoundSize.FULL),
    ],
)
def test_the_more_masks_the_more_of_the_model_learns(masks: int, size: RoundSize) -> None:
    assert round_size(masks, policy=Policy()) == size
    assert round_size(masks, policy=Policy(low_rank_min_masks=0, full_min_masks=0)) == (
        RoundSize.DECODER
    )


@pytest.fixture
def project() -> Project:
    project = factories.make_project()
    factories.make_version(project)
    return project


def set_numbers(project: Project, **numbers: float) -> None:
    policies.change_policy(project, changes=numbers, actor=project.created_by)


def fail(version: ModelVersion) -> None:
    model_versions.fail(version, "the loss is not a number")
    for job in version.project.jobs.filter(kind__startswith="train", status="queued"):
        jobs.cancel(job, actor=version.project.created_by)


@pytest.mark.django_db
def test_a_sweep_starts_what_is_due_once_and_says_why(project: Project) -> None:
    set_numbers(project, retrain_first_masks=4)
    factories.label_images(project, num_images=1, masks_per_image=3)
    assert schedules.run_due() == []
    factories.label_images(project, num_images=1, masks_per_image=1)

    started = schedules.run_due()
    again = schedules.run_due()

    assert [(one.family, one.number, one.trainable) for one in started] == [("sam", 2, "decoder")]
    assert started[0].trigger == "by schedule: 4 confirmed masks, the first 4 are there"
    assert started[0].requested_by is None
    assert again == []
    assert project.jobs.filter(kind="train_sam").count() == 1
    assert plan_for(project, family=SAM).message == "version 2 is pending"


@pytest.mark.django_db
def test_a_round_that_failed_is_not_repeated_on_the_same_masks(project: Project) -> None:
    set_numbers(project, retrain_first_masks=4)
    factories.label_images(project, num_images=2, masks_per_image=2)
    fail(schedules.run_due()[0])

    assert schedules.run_due() == []
    assert plan_for(project, family=SAM).at_masks == 6
    factories.label_images(project, num_images=1, masks_per_image=2)
    assert [one.number for one in schedules.run_due()] == [3]


@pytest.mark.django_db
def test_without_held_out_images_a_due_round_waits_and_says_for_what(
    project: Project, caplog: pytest.LogCaptureFixture
) -> None:
    set_numbers(project, retrain_first_masks=2)
    factories.label_images(project, num_images=1, masks_per_image=3)

    with caplog.at_level(logging.WARNING):
        assert schedules.run_due() == schedules.run_due() == []

    found = plan_for(project, family=SAM)
    assert found.state == PlanState.BLOCKED
    assert "no labelled image is left to be measured on" in found.message
    told = [one for one in caplog.records if "no labelled image is left" in one.getMessage()]
    assert len(told) == 1, "said once, not at each look"
    assert not project.jobs.filter(kind="train_sam").exists()


@pytest.mark.django_db
def test_the_button_and_the_schedule_never_train_two_at_once(project: Project) -> None:
    set_numbers(project, retrain_first_masks=2)
    factories.label_images(project, num_images=2, masks_per_image=2)
    model_versions.request_retrain(project, family=SAM, actor=project.created_by)

    assert schedules.run_due() == []
    with pytest.raises(Conflict, match="pending already"):
        model_versions.request_retrain(project, family=SAM, actor=None)


@pytest.mark.django_db
def test_retrying_a_failed_round_beside_a_newer_one_is_refused(project: Project) -> None:
    factories.label_images(project, num_images=2, masks_per_image=2)
    version, job = model_versions.request_retrain(project, family=SAM, actor=project.created_by)
    claim = jobs.claim(("gpu",), worker="w")
    assert claim is not None
    jobs.fail(claim, error="out of memory", retryable=False)
    version.refresh_from_db()
    assert version.error == "out of memory"
    model_versions.request_retrain(project, family=SAM, actor=project.created_by)

    job.refresh_from_db()
    with pytest.raises(Conflict, match="version 3 is pending already"):
        jobs.retry(job, actor=project.created_by)
    job.refresh_from_db()
    assert job.status == "failed"


@pytest.mark.django_db
def test_a_detector_is_trained_by_schedule_where_it_prefills(project: Project) -> None:
    factories.make_version(project, family=DETECTOR, has_decoder=False)
    set_numbers(project, retrain_growth=0)
    factories.label_images(project, num_images=2, masks_per_image=8)
    assert schedules.run_due() == [], "nobody needs a detector in the first stage"
    stages.advance_stage(project, actor=project.created_by, reason="a test")
    fail(project.model_versions.get(family=DETECTOR.value, number=2))
    assert schedules.run_due() == [], "it was trained on these masks when the stage opened"

    set_numbers(project, retrain_first_masks=20, retrain_growth=1.25)
    factories.label_images(project, num_images=1, masks_per_image=4)

    assert {(one.family, one.number) for one in schedules.run_due()} == {("sam", 2)}
    fail(project.model_versions.get(family=SAM.value, number=2))
    assert {(one.family, one.number) for one in schedules.run_due()} == {("object_detector", 3)}


@pytest.mark.django_db
def test_another_encoder_calls_for_another_detector_at_once_but_once(project: Project) -> None:
    factories.make_version(project, family=DETECTOR, has_decoder=False)
    factories.label_images(project, num_images=2, masks_per_image=4)
    stages.advance_stage(project, actor=project.created_by, reason="a test")
    fail(project.model_versions.get(family=DETECTOR.value, number=2))
    set_numbers(project, retrain_growth=0)
    grown = factories.make_version(
        project, status=ModelVersionStatus.RETIRED, encoder_sha256="f" * 64
    )
    assert schedules.run_due() == []

    model_versions.promote(grown, actor=project.created_by)
    started = schedules.run_due()

    assert [(one.family, one.number) for one in started] == [("object_detector", 3)]
    assert "no detector reads the features" in started[0].trigger
    fail(started[0])
    assert schedules.run_due() == [], "it failed: the page says so, the button tries again"
