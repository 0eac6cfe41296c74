"""A lead changes the numbers of a stage; the stage that follows has its own."""

from __future__ import annotations

from dataclasses import fields

import pytest

from engine.domain.errors import InvalidInput, NotAllowed
from engine.domain.policy import Policy
from engine.domain.policy_fields import FIELDS
from engine.domain.states import ModelFamily
from engine.models import EngineStage, Project, StateChange
from engine.selectors.queue import next_images
from engine.selectors.stages import active_policy, active_stage
from engine.services.jobs import jobs
from engine.services.projects import policies, stages
from tests import factories


def test_every_number_has_words_and_bounds_and_its_default_lies_within() -> None:
    assert {field.name for field in fields(Policy)} == set(FIELDS)
    default = Policy().to_json()
    assert all(one.low <= default[name] <= one.high for name, one in FIELDS.items())


@pytest.fixture
def project(db: None) -> Project:
    return factories.make_project()


def change(project: Project, reason: str = "", **numbers: object) -> Policy:
    return policies.change_policy(project, changes=numbers, actor=project.created_by, reason=reason)


def advance(project: Project) -> EngineStage:
    return stages.advance_stage(project, actor=project.created_by, reason="a test")


def test_a_changed_number_counts_from_now_on_and_stands_in_the_history(project: Project) -> None:
    change(project, "they label fast", exit_min_masks="30", lease_s=60)

    policy = active_policy(project)
    assert (policy.exit_min_masks, policy.lease_s) == (30, 60)
    line = StateChange.objects.get(subject_type="policy")
    assert line.reason == "lease_s 900 -> 60, exit_min_masks 8 -> 30: they label fast"
    assert line.actor == project.created_by


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ({"exit_min_mask": 3}, "there is no exit_min_mask"),
        ({"exit_min_masks": "many"}, "exit_min_masks must be a number, not 'many'"),
        ({"exit_min_masks": ""}, "exit_min_masks must be a number"),
        ({"exit_min_masks": "nan"}, "exit_min_masks must be a number"),
        ({"exit_min_masks": float("inf")}, "exit_min_masks must be a number"),
        ({"exit_min_masks": True}, "exit_min_masks must be a number"),
        ({"exit_min_masks": 2.5}, "exit_min_masks must be a whole number"),
        ({"exit_min_masks": -1}, "exit_min_masks must lie between 0 and 1e\\+07"),
        ({"exit_min_accept_fraction": 70}, "exit_min_accept_fraction must lie between 0 and 1"),
        ({"retrain_growth": 1.01}, "retrain_growth must be 0 or at least 1.05"),
        ({"holdout_every": 3}, "holdout_every is fixed"),
        ({"lease_s": 5}, "lease_s must lie between 30 and 86400"),
    ],
)
def test_a_number_that_cannot_be_is_refused_in_one_sentence_and_nothing_is_set(
    project: Project, numbers: dict[str, object], message: str
) -> None:
    with pytest.raises(InvalidInput, match=message):
        change(project, min_area_px=7, **numbers)

    assert active_policy(project).min_area_px == 100
    assert not StateChange.objects.filter(subject_type="policy").exists()


def test_saving_the_same_numbers_is_no_change(project: Project) -> None:
    change(project, **active_policy(project).to_json())

    assert not StateChange.objects.filter(subject_type="policy").exists()


def test_only_leads_change_numbers(project: Project) -> None:
    with pytest.raises(NotAllowed):
        policies.change_policy(
            project, changes={"lease_s": 60}, actor=factories.make_user(role="annotator")
        )


def test_targets_belong_to_a_stage_and_thresholds_go_along(project: Project) -> None:
    change(project, exit_min_masks=50, retrain_growth=3, min_area_px=40)

    advance(project)

    second = active_policy(project)
    assert (second.exit_min_masks, second.retrain_growth, second.min_area_px) == (16, 1.5, 40)
    change(project, exit_min_masks=60, min_area_px=30)
    stages.go_back(project, actor=project.created_by, reason="poor prefill")
    first = active_policy(project)
    assert (first.exit_min_masks, first.retrain_growth, first.min_area_px) == (50, 3, 30)
    assert advance(project).policy["exit_min_masks"] == 60
    assert project.stages.get(ordinal=1).policy["min_area_px"] == 40, "a snapshot per stay"


def test_a_stage_stored_before_a_number_existed_has_todays_default(project: Project) -> None:
    project.stages.update(policy={"lease_s": 120})

    policy = active_policy(project)

    assert (policy.lease_s, policy.exit_max_seconds_fall_fraction) == (120, 0.1)


def test_leaving_a_stage_cancels_what_machines_still_had_to_do_in_it(project: Project) -> None:
    factories.make_version(project)
    factories.make_version(project, family=ModelFamily.OBJECT_DETECTOR, has_decoder=False)
    for _ in range(3):
        factories.make_image(project)
    stage = advance(project)
    first = jobs.claim(("cpu",), worker="w")
    while first is not None and first.kind != "prelabel_image":
        jobs.finish(first, effects=lambda: None)
        first = jobs.claim(("cpu",), worker="w")
    assert first is not None

    stages.go_back(project, actor=project.created_by, reason="poor prefill")

    of_stage = project.jobs.filter(args__stage=str(stage.pk))
    assert sorted(of_stage.values_list("status", flat=True)) == [
        "cancelled",
        "cancelled",
        "running",
    ]
    assert jobs.heartbeat(first) is False, "the running one is asked to stop"
    cancelled = StateChange.objects.filter(to_state="cancelled", subject_type="job")
    assert {(one.reason, one.actor) for one in cancelled} == {
        ("its stage is over", project.created_by)
    }
    assert jobs.finish(first, effects=lambda: pytest.fail("nothing may be written")) is False


def test_a_stage_that_keeps_draining_keeps_its_work(project: Project) -> None:
    factories.make_version(project)
    factories.make_version(project, family=ModelFamily.OBJECT_DETECTOR, has_decoder=False)
    image = factories.make_image(project)
    advance(project)
    from engine.services.masks import assignments

    held = assignments.lease_image(image, annotator=factories.make_user())

    stages.go_back(project, actor=project.created_by, reason="poor prefill")

    assert project.jobs.get(kind="prelabel_image").status == "queued"
    assignments.submit(held, actor=held.annotator)
    assert project.jobs.get(kind="prelabel_image").status == "cancelled"
    stage = active_stage(project)
    assert stage is not None
    assert stage.kind == "assisted_manual"


def test_prefilled_images_are_handed_out_first_in_the_second_stage(project: Project) -> None:
    from engine.domain.proposals import Proposal
    from engine.domain.states import MaskSource
    from engine.services.masks import masks

    version = factories.make_version(project)
    bare, prefilled = factories.make_image(project), factories.make_image(project)
    annotator = factories.make_user()
    assert next_images(project, annotator, 2) == [bare, prefilled]
    advance(project)
    proposal = Proposal(
        rle=factories.square(prefilled), predicted_iou=0.95, stability_score=0.99, prompts=[]
    )
    masks.record_proposals(
        prefilled,
        source=MaskSource.PREFILLED,
        model_version=version,
        proposals=[proposal],
        idem_key="one",
    )

    assert next_images(project, annotator, 2) == [prefilled, bare]
