"""Batches of mask operations: each is answered by itself, and sending again is safe."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from engine.domain.ids import uuid7
from engine.domain.limits import MAX_OPERATIONS_PER_BATCH
from engine.models import Assignment, Mask, MaskRevision
from tests.annotator_ui.conftest import mask_body, post, save_mask, square


@pytest.fixture
def send(as_annotator: Client, assignment: Assignment) -> Any:
    def send(*operations: object) -> Any:
        path = f"/api/v1/assignments/{assignment.pk}/operations"
        return post(as_annotator, path, {"operations": list(operations)})

    return send


def save(**changes: Any) -> dict[str, Any]:
    return {"type": "save", **mask_body(**changes)}


def outcomes(response: Any) -> list[str]:
    assert response.status_code == 200, response.content
    return [one["outcome"] for one in response.json()["results"]]


def test_each_operation_is_applied_once_however_often_the_batch_comes(send: Any) -> None:
    first, second = save(), save(shape=square(left=2))
    judged = {"type": "reject", "mask_id": second["mask_id"]}

    assert outcomes(send(first, second, judged)) == ["applied", "applied", "applied"]
    again = send(first, second, judged)

    assert outcomes(again) == ["duplicate", "duplicate", "duplicate"]
    assert again.json()["results"][0]["saved"]["revision_id"] == first["revision_id"]
    assert again.json()["results"][2]["status"] == "rejected"
    assert MaskRevision.objects.count() == 2


def test_a_bad_operation_loses_none_of_the_others(send: Any, assignment: Assignment) -> None:
    unknown = {"type": "accept", "mask_id": str(uuid7())}
    ragged = save(rle={"size": [48, 64], "counts": "!!"})
    empty = save(rle={"size": [48, 64], "counts": "T`1"})
    malformed = {"type": "save", "mask_id": str(uuid7()), "prompts": []}
    bad = (unknown, ragged, empty, malformed, {"type": "burn"}, {})

    response = send(*bad, save())

    assert outcomes(response) == ["refused"] * len(bad) + ["applied"]
    codes = [one["code"] for one in response.json()["results"]]
    assert codes[:4] == ["not_found", "invalid_rle", "invalid_rle", "invalid_input"]
    said = response.json()["results"][3]
    assert said["mask_id"] == malformed["mask_id"]
    assert "revision_id: Field required" in said["message"]
    assert Mask.objects.filter(image=assignment.image).count() == 1


def test_a_late_edit_is_kept_beside_the_head(send: Any) -> None:
    first = save()
    base = first["revision_id"]
    ahead = save(mask_id=first["mask_id"], base_revision_id=base, shape=square(left=3))
    late = save(mask_id=first["mask_id"], base_revision_id=base, shape=square(left=9))

    response = send(first, ahead, late)

    assert outcomes(response) == ["applied", "applied", "conflict"]
    assert response.json()["results"][2]["saved"]["conflict"] is True
    assert str(Mask.objects.get(pk=first["mask_id"]).head_id) == ahead["revision_id"]
    assert MaskRevision.objects.filter(mask_id=first["mask_id"]).count() == 3


def test_a_reused_revision_id_is_refused_and_says_so(send: Any) -> None:
    first = save()
    other = save(revision_id=first["revision_id"], shape=square(left=3))

    response = send(first, other)

    assert outcomes(response) == ["applied", "refused"]
    assert response.json()["results"][1]["code"] == "revision_id_reused"


def test_a_mask_of_another_image_is_not_there(send: Any, add_image: Any, lead: Any) -> None:
    from engine.services.masks import assignments

    elsewhere = save_mask(assignments.lease_image(add_image(7), annotator=lead)).mask

    response = send({"type": "reject", "mask_id": str(elsewhere.pk)})

    assert response.json()["results"][0]["code"] == "not_found"
    elsewhere.refresh_from_db()
    assert elsewhere.status == "accepted"


@pytest.mark.parametrize("count", [0, MAX_OPERATIONS_PER_BATCH + 1])
def test_a_batch_has_bounds(send: Any, count: int) -> None:
    response = send(*[{"type": "accept", "mask_id": str(uuid7())}] * count)

    assert response.status_code == 422
    assert response.json()["fields"][0]["field"] == "operations"


def test_what_is_no_object_is_refused_whole(send: Any) -> None:
    assert send("save").status_code == 422
