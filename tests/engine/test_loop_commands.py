"""manage.py stage, retrain and roll_back: what a lead types, and the one line they get back."""

from __future__ import annotations

import io

import pytest
from django.core.management import CommandError, call_command

from engine.domain.states import ModelVersionStatus
from engine.models import Project
from engine.selectors.stages import active_policy
from engine.services.models import model_versions
from tests import factories

pytestmark = pytest.mark.django_db


@pytest.fixture
def project() -> Project:
    project = factories.make_project("Fruit")
    factories.make_version(project)
    return project


def run(*words: str) -> str:
    out = io.StringIO()
    call_command(*words, stdout=out)
    return out.getvalue()


def test_stage_shows_targets_advice_and_plans(project: Project) -> None:
    factories.label_images(project, num_images=2, masks_per_image=4)

    told = run("stage", "fruit")

    assert "assisted_manual, open" in told
    assert "  + confirmed masks" in told
    assert "  - no retrained model has been promoted yet" in told
    assert "  ? 8 of 40 timed masks are there" in told
    assert "recommended: stay" in told
    assert "sam: waiting, first at 20 confirmed masks (12 to go)" in told


def test_stage_moves_with_a_reason_only(project: Project) -> None:
    with pytest.raises(CommandError, match="not yet: 0 of 8 confirmed masks are there"):
        run("stage", "fruit", "--advance")

    assert "semi_automatic, open" in run("stage", "fruit", "--advance", "--reason", "a demo")
    assert "assisted_manual, open" in run("stage", "fruit", "--back", "--reason", "too early")


def test_stage_sets_numbers(project: Project) -> None:
    run("stage", "fruit", "--set", "exit_min_masks=3", "retrain_every_hours=6")

    assert (active_policy(project).exit_min_masks, active_policy(project).retrain_every_hours) == (
        3,
        6,
    )
    assert "retrain_every_hours=6" in run("stage", "fruit", "--numbers")
    for wrong, message in (("exit_min_masks", "is not NAME=NUMBER"), ("x=1", "there is no x")):
        with pytest.raises(CommandError, match=message):
            run("stage", "fruit", "--set", wrong)


def test_retrain_queues_a_round_or_says_what_to_label(project: Project) -> None:
    with pytest.raises(CommandError, match="nothing is labelled yet"):
        run("retrain", "fruit")
    factories.label_images(project, num_images=2)

    assert run("retrain", "fruit", "--trainable", "lora").startswith(
        "sam v2 (lora) is queued: job "
    )
    with pytest.raises(CommandError, match="version 2 is pending already"):
        run("retrain", "fruit")


def test_roll_back_lets_the_version_before_serve(project: Project) -> None:
    with pytest.raises(CommandError, match="no earlier version has served"):
        run("roll_back", "fruit")
    newer = factories.make_version(project, status=ModelVersionStatus.RETIRED)
    model_versions.promote(newer, actor=project.created_by)

    assert run("roll_back", "fruit", "--reason", "odd masks") == "sam v1 serves again\n"


def test_a_project_or_person_that_is_not_there_is_named(project: Project) -> None:
    for command in ("stage", "retrain", "roll_back"):
        with pytest.raises(CommandError, match="there is no project 'vegetables'; there are:"):
            run(command, "vegetables")
        with pytest.raises(CommandError, match="there is no active user 'ghost'"):
            run(command, "fruit", "--user", "ghost")
