"""Targets of a stage against its figures, and what a lead is advised to do."""

from __future__ import annotations

import pytest

from engine.domain.criteria import (
    Criterion,
    Measures,
    StageAction,
    Verdict,
    criteria_of,
    exit_blockers,
    recommend,
)
from engine.domain.policy import Policy
from engine.domain.stages import StageKind, default_policy

MANUAL, SEMI, AUTO = StageKind
BEGUN = Measures(num_confirmed_masks=8, num_labelled_images=2, num_promoted=1)


def judge(measures: Measures, kind: StageKind = MANUAL, **changes: float) -> dict[str, Criterion]:
    policy = default_policy(kind).with_changes(changes)
    return {one.key: one for one in criteria_of(measures, policy=policy)}


def recommendation(measures: Measures, kind: StageKind = MANUAL, **changes: float) -> StageAction:
    policy = default_policy(kind).with_changes(changes)
    criteria = criteria_of(measures, policy=policy)
    return recommend(kind, criteria, measures, policy=policy).action


def test_an_empty_project_misses_each_count_and_knows_nothing_of_the_rest() -> None:
    found = judge(Measures())

    assert {key: one.verdict for key, one in found.items()} == {
        "masks": Verdict.NOT_MET,
        "images": Verdict.NOT_MET,
        "promoted": Verdict.NOT_MET,
        "seconds_fall": Verdict.UNKNOWN,
    }
    assert exit_blockers(list(found.values())) == [
        "0 of 8 confirmed masks are there",
        "0 of 2 images have a confirmed mask",
        "no retrained model has been promoted yet",
    ]


def test_what_cannot_be_known_yet_keeps_nobody_back_but_is_no_reason_to_advance() -> None:
    found = judge(BEGUN)

    assert exit_blockers(list(found.values())) == []
    assert recommendation(BEGUN) == StageAction.STAY
    assert "0 of 40 timed masks" in found["seconds_fall"].missing


def measures_of_seconds(before: float, now: float) -> Measures:
    return Measures(
        num_confirmed_masks=40,
        num_labelled_images=9,
        num_promoted=1,
        seconds_before=before,
        seconds_now=now,
        num_timed_masks=40,
    )


@pytest.mark.parametrize(
    ("before", "now", "verdict", "way"),
    [
        (10.0, 9.5, Verdict.MET, StageAction.ADVANCE),
        (10.0, 9.0, Verdict.MET, StageAction.ADVANCE),  # exactly the share that is allowed
        (10.0, 8.9, Verdict.NOT_MET, StageAction.STAY),
        (10.0, 14.0, Verdict.MET, StageAction.ADVANCE),  # dearer again: nothing more to gain here
    ],
)
def test_a_stage_is_left_when_a_mask_stops_getting_cheaper(
    before: float, now: float, verdict: Verdict, way: StageAction
) -> None:
    measures = measures_of_seconds(before, now)

    assert judge(measures)["seconds_fall"].verdict == verdict
    assert recommendation(measures) == way


def test_masks_per_image_is_asked_only_when_a_lead_sets_it() -> None:
    measures = Measures(masks_per_image=3.0)

    assert "masks_per_image" not in judge(measures)
    assert judge(measures, exit_min_masks_per_image=4)["masks_per_image"].missing == (
        "an image has 3.0 masks on average, 4 are asked for"
    )


@pytest.mark.parametrize(
    ("judged", "kept", "verdict", "way"),
    [
        (19, 19, Verdict.UNKNOWN, StageAction.STAY),
        (20, 14, Verdict.MET, StageAction.ADVANCE),
        (20, 13, Verdict.NOT_MET, StageAction.STAY),
        (20, 5, Verdict.NOT_MET, StageAction.BACK),
        (19, 0, Verdict.UNKNOWN, StageAction.STAY),  # too few to send anybody back
    ],
)
def test_how_many_prefilled_masks_people_keep_decides_the_second_stage(
    judged: int, kept: int, verdict: Verdict, way: StageAction
) -> None:
    measures = Measures(
        num_confirmed_masks=60,
        num_labelled_images=9,
        num_promoted=1,
        num_reviewed=judged,
        num_kept=kept,
    )

    assert judge(measures, SEMI)["accept_rate"].verdict == verdict
    assert recommendation(measures, SEMI) == way


def test_the_last_stage_is_complete_when_its_audit_is() -> None:
    poor = Measures(num_reviewed=50, num_kept=50, num_audited=50, num_alike=44)
    good = Measures(num_reviewed=50, num_kept=50, num_audited=50, num_alike=45)

    assert judge(poor, AUTO)["audit"].missing.startswith("88% of the machine's masks reach IoU 0.9")
    assert judge(good, AUTO)["audit"].verdict == Verdict.MET
    policy = default_policy(AUTO)
    found = recommend(AUTO, criteria_of(good, policy=policy), good, policy=policy)
    assert (found.action, found.reasons[0]) == (
        StageAction.STAY,
        "the last stage has all it needs: export the dataset",
    )


def test_a_policy_that_asks_for_nothing_has_no_targets() -> None:
    nothing = Policy(
        exit_min_masks=0, exit_min_images=0, exit_min_promoted=0, exit_max_seconds_fall_fraction=1
    )

    assert criteria_of(Measures(), policy=nothing) == []
