from __future__ import annotations

import hashlib
from typing import Any

import pytest
from django.test import Client

from engine.domain.proposals import Proposal
from engine.models import Assignment, Image, Mask, MaskRevision, ModelVersion, Project, User
from engine.services.masks import assignments
from engine.services.masks.masks import record_proposals
from engine.services.people import users
from tests.annotator_ui.conftest import (
    HEIGHT_PX,
    WIDTH_PX,
    AddImage,
    client_of,
    join_all,
    mask_body,
    post,
    save_mask,
    square,
)

NEXT = "/api/v1/projects/roof-tiles/assignments/next"


def test_a_session_has_all_the_page_needs(
    as_annotator: Client, project: Project, add_image: AddImage
) -> None:
    first, second = add_image(1), add_image(2)

    response = post(as_annotator, NEXT)

    assert response.status_code == 200
    session = response.json()
    serving = project.model_versions.get(family="sam")
    base = f"/api/v1/images/{first.pk}"
    assert session["stage"] == "assisted_manual"
    assert session["masks"] == []
    assert session["image"] == {
        "id": str(first.pk),
        "file_name": "photo-1.jpg",
        "width_px": WIDTH_PX,
        "height_px": HEIGHT_PX,
        "file_url": f"{base}/file",
        "thumbnail_url": f"{base}/thumbnail",
        "embedding_url": f"{base}/embedding?encoder={serving.encoder_sha256}",
    }
    assert [one["id"] for one in session["upcoming"]] == [str(second.pk)]
    model = session["model"]
    assert model["id"] == str(serving.pk)
    assert model["decoder_url"] == f"/api/v1/model-versions/{serving.pk}/decoder"
    assert model["decoder_image_url"] == f"/api/v1/model-versions/{serving.pk}/decoder-image"
    assert model["decoder_prompt_url"] == f"/api/v1/model-versions/{serving.pk}/decoder-prompt"
    assert (model["image_size_px"], model["embedding_stride_px"]) == (128, 16)
    assert (model["low_res_stride_px"], model["high_res_channels"]) == (4, 8)


def test_nothing_left_is_204(as_annotator: Client, project: Project) -> None:
    assert post(as_annotator, NEXT).status_code == 204


def test_an_asked_image_is_given(as_annotator: Client, add_image: AddImage) -> None:
    add_image(1)
    wanted = add_image(2)

    response = post(as_annotator, NEXT, {"image_id": str(wanted.pk)})

    assert response.json()["image"]["id"] == str(wanted.pk)


def test_an_image_somebody_labels_is_refused(as_lead: Client, assignment: Assignment) -> None:
    response = post(as_lead, NEXT, {"image_id": str(assignment.image_id)})

    assert (response.status_code, response.json()["code"]) == (409, "image_is_leased")


def test_an_image_of_another_project_is_unknown(as_lead: Client, image: Image, lead: User) -> None:
    from engine.services.projects.projects import create_project

    create_project("Other", actor=lead)

    response = post(as_lead, "/api/v1/projects/other/assignments/next", {"image_id": str(image.pk)})

    assert response.status_code == 404


def test_a_project_without_a_model_says_what_to_do(as_annotator: Client, image: Image) -> None:
    ModelVersion.objects.all().update(status="retired")

    response = post(as_annotator, NEXT)

    assert (response.status_code, response.json()["code"]) == (409, "no_model")
    assert "starter" in response.json()["message"]


def test_a_mask_is_saved_once_however_often_it_is_sent(
    as_annotator: Client, assignment: Assignment
) -> None:
    body = mask_body()
    path = f"/api/v1/assignments/{assignment.pk}/masks"

    first, again = post(as_annotator, path, body), post(as_annotator, path, body)

    counts = body["rle"]["counts"]
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == {
        "mask_id": body["mask_id"],
        "revision_id": body["revision_id"],
        "rle_sha256": hashlib.sha256(f"{HEIGHT_PX}x{WIDTH_PX}:{counts}".encode()).hexdigest(),
        "area_px": 400,
        "bbox_xywh_px": [7, 5, 20, 20],
        "duplicate": False,
        "conflict": False,
    }
    assert again.json() == {**first.json(), "duplicate": True}
    assert MaskRevision.objects.count() == 1
    stored = MaskRevision.objects.get()
    assert stored.author == assignment.annotator
    assert (stored.annotate_ms, stored.prompts[0]["type"]) == (4200, "point")


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "another size": (
        {"rle": square(height_px=HEIGHT_PX + 1).to_coco()},
        f"{HEIGHT_PX + 1}",
    ),
    "sides swapped": ({"rle": {"size": [WIDTH_PX, HEIGHT_PX], "counts": "0"}}, "size"),
    "bad run-length code": ({"rle": {"size": [HEIGHT_PX, WIDTH_PX], "counts": "~~~"}}, "rle"),
    "empty mask": ({"rle": square(side=0).to_coco()}, "empty"),
    "huge size": ({"rle": {"size": [10**9, 10**9], "counts": "0"}}, "rle.size"),
    "no id": ({"mask_id": "seven"}, "mask_id"),
    "click far outside": (
        {"prompts": [{"type": "point", "x_px": 900, "y_px": 1, "label": 1}]},
        "x_px",
    ),
    "negative time": ({"annotate_ms": -1}, "annotate_ms"),
    "unknown field": ({"status": "accepted"}, "status"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_wrong_mask_is_422_and_nothing_is_written(
    wrong: str, as_annotator: Client, assignment: Assignment
) -> None:
    changes, named = WRONG[wrong]

    response = post(
        as_annotator, f"/api/v1/assignments/{assignment.pk}/masks", mask_body(**changes)
    )

    assert response.status_code == 422, response.content
    if wrong != "sides swapped":
        assert named in response.json()["message"]
    assert not Mask.objects.exists()
    assert not MaskRevision.objects.exists()


def test_nobody_saves_into_the_assignment_of_another(assignment: Assignment) -> None:
    other = client_of(join_all(users.create_user("otto", role="annotator")))

    for action, body in (("masks", mask_body()), ("submit", {}), ("skip", {}), ("extend", {})):
        response = post(other, f"/api/v1/assignments/{assignment.pk}/{action}", body)
        assert response.status_code == 403, action

    assert not Mask.objects.exists()
    assignment.refresh_from_db()
    assert assignment.status == "leased"


def test_a_mask_saved_from_an_older_base_is_kept_beside_the_head(
    as_annotator: Client, assignment: Assignment
) -> None:
    path = f"/api/v1/assignments/{assignment.pk}/masks"
    first = mask_body()
    post(as_annotator, path, first)
    second = mask_body(
        square(side=10), mask_id=first["mask_id"], base_revision_id=first["revision_id"]
    )
    post(as_annotator, path, second)
    late = mask_body(
        square(side=8), mask_id=first["mask_id"], base_revision_id=first["revision_id"]
    )

    response = post(as_annotator, path, late)

    assert response.status_code == 201
    assert response.json()["conflict"] is True
    listed = as_annotator.get(f"/api/v1/images/{assignment.image_id}/masks").json()
    assert [one["revision_id"] for one in listed] == [second["revision_id"]]


def test_submitting_hands_out_the_next_image(
    as_annotator: Client, annotator: User, add_image: AddImage
) -> None:
    add_image(1)
    second = add_image(2)
    session = post(as_annotator, NEXT).json()
    path = f"/api/v1/assignments/{session['assignment_id']}"

    extended = post(as_annotator, f"{path}/extend")
    submitted = post(as_annotator, f"{path}/submit")
    again = post(as_annotator, f"{path}/submit")

    assert extended.status_code == 200
    assert extended.json()["lease_expires_at"] >= session["lease_expires_at"]
    assert (submitted.status_code, submitted.json()["status"]) == (200, "submitted")
    assert (again.status_code, again.json()) == (200, submitted.json())
    assert post(as_annotator, NEXT).json()["image"]["id"] == str(second.pk)
    assert assignments.lease_next(second.project, annotator=annotator) is not None


def test_a_skipped_image_goes_to_somebody_else(
    as_annotator: Client, as_lead: Client, image: Image
) -> None:
    session = post(as_annotator, NEXT).json()

    skipped = post(
        as_annotator, f"/api/v1/assignments/{session['assignment_id']}/skip", {"reason": "blurred"}
    )

    assert (skipped.status_code, skipped.json()["status"]) == (200, "skipped")
    assert post(as_annotator, NEXT).status_code == 204
    assert post(as_lead, NEXT).json()["image"]["id"] == str(image.pk)


def test_a_proposal_is_accepted_and_rejected(as_annotator: Client, assignment: Assignment) -> None:
    image = assignment.image
    (mask,) = record_proposals(
        image,
        source="prefilled",
        model_version=image.project.model_versions.get(family="sam"),
        proposals=[Proposal(rle=square(), predicted_iou=0.97)],
        idem_key="once",
    )

    listed = as_annotator.get(f"/api/v1/images/{image.pk}/masks").json()
    accepted = post(as_annotator, f"/api/v1/masks/{mask.pk}/accept")
    rejected = post(as_annotator, f"/api/v1/masks/{mask.pk}/reject")

    assert [(one["status"], one["source"], one["author"]) for one in listed] == [
        ("proposed", "prefilled", None)
    ]
    assert listed[0]["predicted_iou"] == 0.97
    assert listed[0]["bbox_xywh_px"] == [7, 5, 20, 20]
    assert (accepted.status_code, accepted.json()["status"]) == (200, "accepted")
    assert (rejected.status_code, rejected.json()["status"]) == (200, "rejected")


def test_a_session_shows_kept_masks_and_not_rejected_ones(
    as_annotator: Client, assignment: Assignment
) -> None:
    kept = save_mask(assignment)
    thrown = save_mask(assignment, square(30, 30, 10))
    post(as_annotator, f"/api/v1/masks/{thrown.mask.pk}/reject")

    session = post(as_annotator, NEXT).json()

    assert [one["id"] for one in session["masks"]] == [str(kept.mask.pk)]
    assert session["masks"][0]["author"] == "anna"
    listed = as_annotator.get(f"/api/v1/images/{assignment.image_id}/masks").json()
    assert {one["status"] for one in listed} == {"accepted", "rejected"}
