"""The shipped starter as an upgrade: what a lead reads and presses, and what a script gets."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from pytest_django import Settings

from engine.domain.states import ModelFamily, ModelVersionStatus
from engine.models import Project
from engine.services.jobs import jobs
from engine.services.models import model_versions
from tests import factories
from tests.annotator_ui.conftest import post
from tests.annotator_ui.test_pages import has, html_of, text_of

PAGE = "/projects/roof-tiles/"
API = "/api/v1/projects/roof-tiles"
NEW = "f" * 64


@pytest.fixture
def newer(project: Project, settings: Settings, tmp_path: Path) -> Path:
    """The folder of another starter, which the installation ships since the project was made."""
    settings.STARTER_DIR = tmp_path / "newer"
    return factories.write_starter(encoder_sha256=NEW, has_decoder=True)


def notice_of(client: Client) -> str:
    """The words of the notice; empty when there is none."""
    html = html_of(client, PAGE)
    found = re.search(r'data-testid="starter-upgrade">(.*?)</div>\s*<[pf]', html, re.DOTALL)
    return " ".join(re.sub(r"<[^>]+>", " ", found.group(1)).split()) if found else ""


def press(client: Client) -> str:
    """Press the button and return the page that follows, with its message."""
    response = client.post(f"{PAGE}starter-upgrade/")
    assert response.headers["Location"] == PAGE
    return html_of(client, PAGE)


def offer_of(client: Client) -> Any:
    return client.get(f"{API}/loop").json()["starter_offer"]


def test_a_project_that_has_the_shipped_starter_reads_nothing_of_it(
    as_lead: Client, project: Project
) -> None:
    assert notice_of(as_lead) == ""
    assert offer_of(as_lead) is None


def test_the_notice_says_what_the_button_will_do(
    as_lead: Client, project: Project, newer: Path
) -> None:
    for _ in range(2):
        factories.make_image(project)

    assert notice_of(as_lead) == (
        "A newer starter model ships with this version of Segloop. "
        "This project stays with SAM v1 until you upgrade. "
        "Without held-out masks to measure it on, it serves at once. "
        "Then 2 images are encoded anew in the background; people go on labelling meanwhile. "
        "You can roll back to v1 at any time."
    )
    assert offer_of(as_lead) == {
        "replaces": 1,
        "loses_training": False,
        "num_to_encode": 2,
        "encode_s": None,
        "is_measured_first": False,
        "waits_for": "",
    }


def test_only_leads_see_it(as_annotator: Client, project: Project, newer: Path) -> None:
    assert not has(html_of(as_annotator, PAGE), "starter-upgrade")
    assert as_annotator.post(f"{PAGE}starter-upgrade/").status_code == 403
    assert project.model_versions.filter(family="sam").count() == 1


def test_one_press_and_it_serves(as_lead: Client, project: Project, newer: Path) -> None:
    html = press(as_lead)

    assert "SAM v2, the shipped starter, serves now." in html
    assert text_of(html, "serving-sam") == "v2 serves"
    assert text_of(html, "serving-object_detector") == "v1 serves"
    assert not has(html, "starter-upgrade")
    again = press(as_lead)
    assert "SAM v2, the shipped starter, serves now." in again
    assert project.model_versions.filter(family="sam").count() == 2


def test_where_masks_are_held_out_it_is_measured_first(
    as_lead: Client, project: Project, newer: Path
) -> None:
    factories.label_images(project, num_images=2)
    assert "It is measured beside v1 on the held-out images first" in notice_of(as_lead)

    html = press(as_lead)

    assert "SAM v2, the shipped starter, is measured on the held-out images." in html
    assert text_of(html, "serving-sam") == "v1 serves"
    assert "being evaluated" in html
    assert "Evaluate SAM" in html
    assert "serves once a SAM of its encoder does" in html
    assert not has(html, "promote-version-open"), "nobody can let it serve beside another encoder"
    loop = html_of(as_lead, f"{PAGE}loop/")
    assert "upgrade to the shipped starter" in loop
    assert has(loop, "live-job")


def test_what_was_measured_is_shown_against_the_model_it_was_to_replace(
    as_lead: Client, project: Project, newer: Path
) -> None:
    factories.label_images(project, num_images=2)
    serving = project.model_versions.get(family="sam")
    press(as_lead)
    version = project.model_versions.get(family="sam", number=2)
    snapshot = project.snapshots.get()
    for one, figure in ((serving, 0.7), (version, 0.6)):
        metrics: dict[str, Any] = {f"clicks_{n}_miou": figure for n in (1, 3, 5)}
        if one == version:
            gains = dict.fromkeys(("clicks_1", "clicks_3", "clicks_5", "all"), -0.1)
            metrics["gate"] = factories.gate_report(serving, **gains)
        model_versions.record_evaluation(one, snapshot=snapshot, metrics=metrics)
    version.refresh_from_db()
    model_versions.reject(version, reason="worse")

    html = html_of(as_lead, PAGE)

    assert "-0.100" in html
    assert "one click is worse by 0.100 on average" in html
    assert has(html, "promote-version-open")
    assert "one click is worse by 0.100 on average".capitalize() in html_of(as_lead, f"{PAGE}loop/")


def test_while_a_training_runs_there_is_no_button_but_the_reason(
    as_lead: Client, project: Project, newer: Path
) -> None:
    factories.label_images(project, num_images=2)
    _, job = model_versions.request_retrain(project, family="sam", actor=project.created_by)

    html = html_of(as_lead, PAGE)

    assert not has(html, "upgrade-starter")
    assert text_of(html, "starter-upgrade-waits") == (
        "Version 2 is pending: upgrade when that is over."
    )
    assert offer_of(as_lead)["waits_for"] == "version 2 is pending"
    assert "Version 2 is pending already" in press(as_lead)
    assert post(as_lead, f"{API}/starter-upgrade").json()["code"] == "already_training"
    jobs.cancel(job, actor=project.created_by)
    assert has(html_of(as_lead, PAGE), "upgrade-starter")


def test_a_retrained_project_reads_what_it_would_lose(
    as_lead: Client, project: Project, newer: Path
) -> None:
    factories.label_images(project, num_images=2)
    version, job = model_versions.request_retrain(project, family="sam", actor=project.created_by)
    jobs.cancel(job, actor=project.created_by)
    retrained = factories.make_version(
        project,
        family=ModelFamily.SAM,
        status=ModelVersionStatus.RETIRED,
        snapshot=version.snapshot,
    )
    model_versions.promote(retrained, actor=project.created_by)

    assert (
        "SAM v3 was retrained on this project's masks, and that training is not in the new "
        "starter: if you upgrade, retrain afterwards."
    ) in notice_of(as_lead).replace("&#x27;", "'")
    assert offer_of(as_lead)["loses_training"] is True


def test_a_folder_that_is_gone_breaks_no_page(
    as_lead: Client, project: Project, newer: Path
) -> None:
    shutil.rmtree(newer)

    assert notice_of(as_lead) == ""
    assert offer_of(as_lead) is None
    assert "No complete starter model ships with this installation" in press(as_lead)
    answer = post(as_lead, f"{API}/starter-upgrade")
    assert (answer.status_code, answer.json()["code"]) == (409, "no_starter")


def test_a_script_takes_it_and_may_ask_again(
    as_lead: Client, project: Project, newer: Path
) -> None:
    factories.label_images(project, num_images=2)

    first = post(as_lead, f"{API}/starter-upgrade").json()
    second = post(as_lead, f"{API}/starter-upgrade").json()

    assert (first["model_version"]["number"], first["model_version"]["status"]) == (2, "trained")
    assert first["job"]["kind"] == "evaluate_sam"
    assert second["model_version"] == first["model_version"]
    assert second["job"]["id"] == first["job"]["id"]
