from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from django.test import Client

from engine.models import Image, Mask, MaskRevision, ModelVersion
from engine.services import embeddings
from masks.rle import Rle
from tests.annotator_ui.conftest import HEIGHT_PX, WIDTH_PX, post, tiny_model

POINT = {"type": "point", "x_px": 20.0, "y_px": 18.0, "label": 1}
BOX = {"type": "box", "x0_px": 8.0, "y0_px": 9.0, "x1_px": 31.0, "y1_px": 30.0}


@pytest.fixture
def serving(image: Image, embedding_bytes: Callable[[Image], bytes]) -> ModelVersion:
    version = image.project.model_versions.get(family="sam")
    embeddings.store_embedding(
        image, encoder_sha256=version.encoder_sha256, data=embedding_bytes(image)
    )
    return version


def body(version: ModelVersion, *prompts: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {
        "model_version_id": str(version.pk),
        "encoder_sha256": version.encoder_sha256,
        "prompts": list(prompts),
        **changes,
    }


@pytest.mark.parametrize("prompts", [[POINT], [BOX], [POINT, {**POINT, "label": 0}], [POINT, BOX]])
def test_the_server_decodes_what_the_model_itself_would(
    as_annotator: Client,
    image: Image,
    serving: ModelVersion,
    embedding_bytes: Callable[[Image], bytes],
    prompts: list[dict[str, Any]],
) -> None:
    from sam import embeddings as stored
    from sam.predictor import Predictor

    predictor = Predictor(tiny_model())
    predictor.set_features(stored.from_bytes(embedding_bytes(image)), (HEIGHT_PX, WIDTH_PX))
    points = [one for one in prompts if one["type"] == "point"]
    expected = predictor.predict(
        point_coords=np.array([[one["x_px"], one["y_px"]] for one in points]) if points else None,
        point_labels=np.array([one["label"] for one in points]) if points else None,
        box=np.array([8.0, 9.0, 31.0, 30.0]) if BOX in prompts else None,
        multimask_output=prompts == [POINT],
    )

    response = post(as_annotator, f"/api/v1/images/{image.pk}/decode", body(serving, *prompts))

    assert response.status_code == 200, response.content
    answer = response.json()
    best = int(np.argmax(expected.predicted_iou))
    assert answer["predicted_iou"] == pytest.approx(float(expected.predicted_iou[best]), abs=1e-3)
    mask = Rle.from_coco(answer["rle"], image_hw=(HEIGHT_PX, WIDTH_PX)).decode()
    assert (mask == expected.masks_nhw[best]).mean() > 0.995
    assert len(answer["candidates"]) == (3 if prompts == [POINT] else 1)
    assert answer["candidates"][0]["rle"] == answer["rle"]


def test_decoding_stores_nothing(as_annotator: Client, image: Image, serving: ModelVersion) -> None:
    post(as_annotator, f"/api/v1/images/{image.pk}/decode", body(serving, POINT))

    assert not Mask.objects.exists()
    assert not MaskRevision.objects.exists()


def test_another_encoder_is_outdated(
    as_annotator: Client, image: Image, serving: ModelVersion
) -> None:
    response = post(
        as_annotator,
        f"/api/v1/images/{image.pk}/decode",
        body(serving, POINT, encoder_sha256="0" * 64),
    )

    assert (response.status_code, response.json()["code"]) == (409, "outdated_embedding")


def test_a_version_that_no_longer_serves_is_outdated(
    as_annotator: Client, image: Image, serving: ModelVersion
) -> None:
    ModelVersion.objects.filter(pk=serving.pk).update(status="retired")

    response = post(as_annotator, f"/api/v1/images/{image.pk}/decode", body(serving, POINT))

    assert (response.status_code, response.json()["code"]) == (409, "outdated_embedding")


def test_an_embedding_still_in_the_making_is_not_ready(as_annotator: Client, image: Image) -> None:
    version = image.project.model_versions.get(family="sam")

    response = post(as_annotator, f"/api/v1/images/{image.pk}/decode", body(version, POINT))

    assert (response.status_code, response.json()["code"]) == (409, "not_ready")


@pytest.mark.parametrize(
    ("prompts", "named"),
    [
        ([], "prompts"),
        ([BOX, BOX], "box"),
        ([{**POINT, "x_px": 1e9}], "x_px"),
        ([{**POINT, "x_px": WIDTH_PX + 50.0}], "x_px"),
        ([{**POINT, "x_px": float("nan")}], "x_px"),
        ([{**POINT, "label": 7}], "label"),
        ([{"type": "mask"}], "prompts.0"),
        ([{"type": "lasso"}], "prompts.0"),
    ],
)
def test_prompts_that_cannot_be_decoded_are_named(
    as_annotator: Client,
    image: Image,
    serving: ModelVersion,
    prompts: list[dict[str, Any]],
    named: str,
) -> None:
    response = as_annotator.post(
        f"/api/v1/images/{image.pk}/decode",
        json.dumps(body(serving, *prompts)),
        content_type="application/json",
    )

    assert response.status_code == 422
    assert named in response.json()["message"]


@pytest.mark.parametrize("label", [0, 1])
def test_a_click_on_an_existing_mask_changes_it_there_first(
    as_annotator: Client, image: Image, serving: ModelVersion, label: int
) -> None:
    mask = np.zeros((HEIGHT_PX, WIDTH_PX), bool)
    mask[10:40, 10:40] = True
    under = Rle.encode(mask)
    at = (20, 45) if label else (20, 20)
    click = {"type": "point", "x_px": at[1] + 0.5, "y_px": at[0] + 0.5, "label": label}

    response = post(
        as_annotator,
        f"/api/v1/images/{image.pk}/decode",
        body(serving, click, under=under.to_coco()),
    )

    assert response.status_code == 200
    answers = [
        Rle.from_coco(one["rle"], image_hw=(HEIGHT_PX, WIDTH_PX)).decode()
        for one in response.json()["candidates"]
    ]
    whole, changed = answers[-1], answers[0] ^ mask
    if len(answers) == 2:
        assert changed[at]
        assert not (answers[0] & ~mask).any() if label == 0 else not (mask & ~answers[0]).any()
    else:
        assert (whole[at] != bool(label)) or whole[at] == mask[at]


def test_an_empty_or_foreign_mask_cannot_be_changed(
    as_annotator: Client, image: Image, serving: ModelVersion
) -> None:
    for rle in (
        Rle.encode(np.zeros((HEIGHT_PX, WIDTH_PX), bool)),
        Rle.encode(np.ones((9, 9), bool)),
    ):
        response = post(
            as_annotator,
            f"/api/v1/images/{image.pk}/decode",
            body(serving, POINT, under=rle.to_coco()),
        )
        assert response.status_code == 422
