"""What a lead sees and does on the loop page, and what scripts get from the same API."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.test import Client

from engine.domain.states import ModelFamily, ModelVersionStatus
from engine.models import ModelVersion, Project
from engine.selectors.stages import active_policy, active_stage
from engine.services.jobs import jobs
from engine.services.models import model_versions
from tests import factories
from tests.annotator_ui.test_pages import has, text_of

PAGE = "/projects/roof-tiles/loop/"
API = "/api/v1/projects/roof-tiles"


def html_of(client: Client, path: str = PAGE) -> str:
    response = client.get(path)
    assert response.status_code == 200
    return str(response.content.decode())


def press(client: Client, action: str, **form: str) -> str:
    """Press a button and return the page that follows, with its message."""
    response = client.post(f"/projects/roof-tiles/{action}/", {"to_page": "loop", **form})
    assert response.headers["Location"] == PAGE
    return html_of(client)


def send(client: Client, method: str, path: str, **body: Any) -> tuple[int, dict[str, Any]]:
    response = client.generic(
        method, f"{API}/{path}", json.dumps(body), content_type="application/json"
    )
    return response.status_code, response.json()


def trained(project: Project, *, is_good: bool) -> ModelVersion:
    """A candidate as training leaves it, measured and promoted or put aside."""
    version, job = model_versions.request_retrain(
        project, family=ModelFamily.SAM, actor=project.created_by
    )
    jobs.cancel(job, actor=project.created_by)
    serving = project.model_versions.get(family="sam", status="serving")
    ModelVersion.objects.filter(pk=version.pk).update(
        status=ModelVersionStatus.TRAINED.value,
        error="",
        checkpoint_key=serving.checkpoint_key,
        checkpoint_sha256=serving.checkpoint_sha256,
        encoder_sha256=serving.encoder_sha256,
        decoder_key=serving.decoder_key,
        decoder_sha256=serving.decoder_sha256,
    )
    version.refresh_from_db()
    gain = 0.05 if is_good else -0.05
    gains = dict.fromkeys(("clicks_1", "clicks_3", "clicks_5", "all"), gain)
    figures = {f"clicks_{n}_miou": 0.6 for n in (1, 3, 5)} | {"clicks_1_ci95": [0.55, 0.64]}
    model_versions.record_evaluation(
        version,
        snapshot=version.snapshot,
        metrics={**figures, "gate": factories.gate_report(serving, **gains)},
    )
    if is_good:
        return model_versions.promote(version, actor=None, reason="passed the gate")
    return model_versions.reject(version, reason="worse")


@pytest.fixture
def labelled(project: Project) -> Project:
    factories.label_images(project, num_images=3, masks_per_image=4)
    return project


def test_an_empty_project_says_what_will_stand_in_each_place(
    as_lead: Client, project: Project
) -> None:
    html = html_of(as_lead)

    assert text_of(html, "loop-stage") == "Stage: Assisted manual"
    assert "Recommended: stay" in html
    assert html.count('data-verdict="not_met"') == 3
    assert html.count('data-verdict="not_enough_data"') == 1
    for empty in ("no-curve-sam", "no-costs", "no-decisions", "no-history"):
        assert has(html, empty), empty
    assert "First at 20 confirmed masks (20 to go)" in html
    assert not has(html, "roll-back-sam")


def test_only_leads_have_the_page(as_annotator: Client, project: Project) -> None:
    assert as_annotator.get(PAGE).status_code == 403


def test_advancing_too_early_is_explained_and_a_reason_lets_it_pass(
    as_lead: Client, project: Project
) -> None:
    refused = press(as_lead, "advance")
    assert "Not yet: 0 of 8 confirmed masks are there" in refused
    assert "Give a reason to advance all the same." in refused
    assert text_of(refused, "loop-stage") == "Stage: Assisted manual"

    moved = press(as_lead, "advance", reason="a demonstration")

    assert text_of(moved, "loop-stage") == "Stage: Semi-automatic"
    assert "Assisted manual: open to draining" in moved
    assert "a demonstration" in moved


def test_retraining_with_too_few_masks_says_what_to_label(
    as_lead: Client, project: Project
) -> None:
    assert "Nothing is labelled yet: label at least one object on each of two images" in press(
        as_lead, "retrain", family="sam"
    )
    factories.label_images(project, num_images=1)

    assert "No labelled image is left to be measured on" in press(as_lead, "retrain", family="sam")
    assert not project.model_versions.filter(snapshot__isnull=False).exists()


def test_a_running_training_shows_its_curve_and_a_second_is_refused(
    as_lead: Client, labelled: Project
) -> None:
    started = press(as_lead, "retrain", family="sam", trainable="lora")
    assert "Segmentation model (SAM) v2 is being trained." in started
    version = labelled.model_versions.get(number=2, family="sam")
    assert (version.trainable, version.requested_by) == ("lora", labelled.created_by)
    claim = jobs.claim(("gpu",), worker="w")
    assert claim is not None
    model_versions.mark_training(version)
    revision = as_lead.get(API).json()["revision"]
    points = [{"step": step, "loss": 1 / step, "first_iou": 0.5} for step in range(1, 6)]
    model_versions.keep_curve(version, points=points)
    jobs.heartbeat(claim, progress_pct=42, text="step 5 of 12")

    html = html_of(as_lead)

    assert 'data-state="running"' in html
    assert "step 5 of 12" in html
    assert "Training loss: 1.000 at first, 0.200 now" in html
    assert as_lead.get(API).json()["revision"] != revision, "the page looks anew"
    curve = as_lead.get(f"/api/v1/model-versions/{version.pk}/curve").json()
    assert [one["step"] for one in curve["points"]] == [1, 2, 3, 4, 5]
    assert curve["points"][0] == {"step": 1, "loss": 1.0, "first_iou": 0.5, "last_iou": None}
    assert "Version 2 is training already" in press(as_lead, "retrain", family="sam")


def test_a_failed_training_is_explained_and_never_serves(
    as_lead: Client, labelled: Project
) -> None:
    press(as_lead, "retrain", family="sam")
    claim = jobs.claim(("gpu",), worker="w")
    assert claim is not None
    jobs.fail(claim, error="the disk is full", retryable=False)

    html = html_of(as_lead)

    assert text_of(html, "failure-sam") == "Version 2 failed: the disk is full"
    assert text_of(html, "serving-sam") == "v1 serves"
    status, refused = send(
        as_lead,
        "POST",
        "promote",
        model_version_id=str(labelled.model_versions.get(number=2, family="sam").pk),
        reason="I insist",
    )
    assert (status, refused["message"]) == (409, "version 2 is failed, not evaluated")
    [failed] = [one for one in as_lead.get(f"{API}/model-versions").json() if one["number"] == 2]
    assert (failed["status"], failed["error"]) == ("failed", "the disk is full")


def test_a_candidate_that_was_kept_back_says_why_with_figures(
    as_lead: Client, labelled: Project
) -> None:
    trained(labelled, is_good=False)

    html = html_of(as_lead)

    assert 'data-status="rejected"' in html
    assert "One click is worse by 0.050 on average" in html
    assert "-0.050 to -0.050" in html
    [_, kept_back] = as_lead.get(f"{API}/model-versions").json()[1::-1]
    assert kept_back["intervals"] == {"clicks_1_ci95": [0.55, 0.64]}
    assert kept_back["blockers"][0].startswith("one click is worse by 0.050")


def test_fitted_thresholds_are_told_by_the_api(as_lead: Client, labelled: Project) -> None:
    fitted = {
        "predicted_iou": 0.8,
        "stability_score": 0.9,
        "precision": 0.7,
        "recall": 0.6,
        "num_truths": 40,
    }
    labelled.model_versions.filter(family="sam").update(
        thresholds={"automatic": fitted, "prefill": {"0190": fitted}}
    )

    [told] = [
        one["thresholds"]
        for one in as_lead.get(f"{API}/model-versions").json()
        if one["family"] == "sam"
    ]

    assert told == {"automatic": fitted, "prefill": {"0190": fitted}}


def test_rolling_back_takes_one_click(as_lead: Client, labelled: Project) -> None:
    trained(labelled, is_good=True)
    html = html_of(as_lead)
    assert text_of(html, "serving-sam") == "v2 serves"
    assert text_of(html, "roll-back-sam") == "Roll back to v1"

    after = press(as_lead, "roll-back", family="sam")

    assert "Segmentation model (SAM) v1 serves again." in after
    assert text_of(after, "serving-sam") == "v1 serves"
    assert "No earlier version has served" in press(as_lead, "roll-back", family="sam")
    assert send(as_lead, "POST", "roll-back", family="sam")[0] == 409


def test_numbers_are_changed_on_the_page_and_refused_in_a_sentence(
    as_lead: Client, project: Project
) -> None:
    saved = press(as_lead, "policy", exit_min_masks="3", retrain_every_masks="15")
    assert "The numbers are saved." in saved
    assert "exit_min_masks 8 -&gt; 3" in saved
    assert active_policy(project).retrain_every_masks == 15

    refused = press(as_lead, "policy", exit_min_masks="3", retrain_growth="1.01")

    assert "retrain_growth must be 0 or at least 1.05" in refused
    assert active_policy(project).retrain_growth == 1.5


def test_all_numbers_of_the_form_can_be_sent_back_unchanged(
    as_lead: Client, project: Project
) -> None:
    before = active_policy(project)
    form = {name: f"{value:.10g}" for name, value in before.to_json().items()}

    press(as_lead, "policy", **form)

    assert active_policy(project) == before
    assert has(html_of(as_lead), "no-history")


def test_costs_are_told_apart_by_model(as_lead: Client, labelled: Project) -> None:
    html = html_of(as_lead)

    assert html.count('data-testid="loop-cost-row"') == 1
    assert "4.0 s" in html


def test_the_api_tells_the_same_as_the_page(as_lead: Client, labelled: Project) -> None:
    loop = as_lead.get(f"{API}/loop").json()

    assert (loop["stage"], loop["status"], loop["recommendation"]["action"]) == (
        "assisted_manual",
        "open",
        "stay",
    )
    masks = next(one for one in loop["criteria"] if one["key"] == "masks")
    assert (masks["current"], masks["target"], masks["verdict"]) == (12, 8, "met")
    assert {one["family"]: one["state"] for one in loop["plans"]} == {
        "sam": "waiting",
        "object_detector": "off",
    }
    assert loop["policy"]["retrain_first_masks"] == 20


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"exit_min_masks": -1}, "policy: exit_min_masks must lie between 0 and 1e+07"),
        ({"no_such": 1}, "policy: there is no no_such"),
        ({"holdout_first": 3}, "policy: holdout_first is fixed"),
    ],
)
def test_the_api_refuses_numbers_that_cannot_be(
    as_lead: Client, project: Project, changes: dict[str, float], message: str
) -> None:
    status, body = send(as_lead, "PATCH", "policy", changes=changes)

    assert status == 422
    assert body["message"].startswith(message)


def test_the_api_changes_numbers(as_lead: Client, project: Project) -> None:
    status, body = send(as_lead, "PATCH", "policy", changes={"lease_s": 60}, reason="fast ones")

    assert (status, body["policy"]["lease_s"]) == (200, 60)
    stage = active_stage(project)
    assert stage is not None
    assert stage.policy["lease_s"] == 60
