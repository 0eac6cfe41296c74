from __future__ import annotations

import json

from django.test import Client

from engine.models import Assignment, Image, Job, User
from tests.annotator_ui.conftest import client_of, post


def test_an_annotator_asks_watches_and_stops(as_annotator: Client, assignment: Assignment) -> None:
    path = f"/api/v1/images/{assignment.image_id}/suggestions"
    assert as_annotator.get(path).json()["status"] == "none"

    asked = post(as_annotator, path)
    again = post(as_annotator, path)

    assert (asked.status_code, again.status_code) == (202, 202)
    assert asked.json() == {
        "status": "queued", "progress_pct": 0.0, "progress_text": "", "error": "",
    }  # fmt: skip
    assert Job.objects.filter(kind="suggest_masks").count() == 1
    assert post(as_annotator, f"{path}/cancel").json()["status"] == "cancelled"
    assert as_annotator.get(path).json()["status"] == "cancelled"


def test_a_stranger_to_the_image_is_refused(image: Image, annotator: User) -> None:
    response = post(client_of(annotator), f"/api/v1/images/{image.pk}/suggestions")

    assert response.status_code == 403
    assert response.json()["code"] == "not_allowed"


def test_hand_edits_are_part_of_a_masks_story(as_annotator: Client, assignment: Assignment) -> None:
    from tests.annotator_ui.conftest import mask_body

    prompts = [{"type": "mask"}, {"type": "edit", "tool": "polygon", "times": 2}]
    path = f"/api/v1/assignments/{assignment.pk}/masks"
    assert post(as_annotator, path, mask_body(prompts=prompts)).status_code == 201

    for wrong in ({"tool": "scissors", "times": 1}, {"tool": "lasso", "times": 0}):
        refused = post(as_annotator, path, mask_body(prompts=[{"type": "edit", **wrong}]))
        assert refused.status_code == 422
        assert "prompts.0" in json.dumps(refused.json()["fields"])


def test_a_lead_writes_what_annotators_read(
    as_lead: Client, as_annotator: Client, assignment: Assignment
) -> None:
    text = "First the roof.\r\n\r\n<b>No</b> names\u0007 needed."
    page = "/projects/roof-tiles/"

    assert as_annotator.post(f"{page}instructions/", {"text": text}).status_code == 403
    assert as_lead.post(f"{page}instructions/", {"text": text}).status_code == 302

    shown = as_annotator.get(page).content.decode()
    assert "<p>First the roof.</p>" in shown
    assert "&lt;b&gt;No&lt;/b&gt; names needed." in shown
    assert as_lead.post(f"{page}instructions/", {"text": "x" * 4001}).status_code == 302
    assert "at most 4000 characters" in as_lead.get(page).content.decode()
