from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import PIL.Image
import pytest
from django.test import Client

from engine import storage
from engine.models import Image, Mask, MaskRevision, ModelVersion, Project
from engine.services.images import embeddings
from masks.rle import Rle
from tests import factories
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
    from sam.checkpoints import embedding_files as stored
    from sam.prompting.predictor import Predictor

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


def test_masks_that_hold_a_background_click_are_offered_last(
    as_annotator: Client, image: Image, serving: ModelVersion
) -> None:
    num_mixed = 0
    for x in range(2, WIDTH_PX, 6):
        click = {"type": "point", "x_px": x + 0.5, "y_px": 18.0, "label": 0}

        response = post(as_annotator, f"/api/v1/images/{image.pk}/decode", body(serving, click))

        offered = []
        for one in response.json()["candidates"]:
            mask = Rle.from_coco(one["rle"], image_hw=(HEIGHT_PX, WIDTH_PX)).decode()
            offered.append((bool(mask[18, x]), -one["predicted_iou"]))
        assert len(offered) == 3
        assert offered == sorted(offered)
        num_mixed += offered[0][0] != offered[2][0]
    assert num_mixed


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
    base_mask = Rle.encode(mask)
    at = (20, 45) if label else (20, 20)
    click = {"type": "point", "x_px": at[1] + 0.5, "y_px": at[0] + 0.5, "label": label}

    response = post(
        as_annotator,
        f"/api/v1/images/{image.pk}/decode",
        body(serving, click, base_mask=base_mask.to_coco()),
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
            body(serving, POINT, base_mask=rle.to_coco()),
        )
        assert response.status_code == 422


CROP = "1-1-2"
X_PX, Y_PX, SIDE_PX = 100, 20, 100  # its place in a photo of 200 x 120
IN_CROP = {"type": "point", "x_px": 150.5, "y_px": 60.5, "label": 1}


@pytest.fixture
def wide_image(project: Project) -> Image:
    return factories.make_image(project, width_px=200, height_px=120)


@pytest.fixture
def looked_at(wide_image: Image) -> ModelVersion:
    """The serving model, which has seen the photo and, apart, its crop."""
    from sam.checkpoints import embedding_files as stored

    version = wide_image.project.model_versions.get(family="sam")
    for key in ("", CROP):
        data = stored.to_bytes(features_of(wide_image, key), encoder_sha256=version.encoder_sha256)
        embeddings.store_embedding(
            wide_image, encoder_sha256=version.encoder_sha256, data=data, crop=key
        )
    return version


def features_of(image: Image, crop: str) -> Any:
    import torch

    pixels = np.asarray(PIL.Image.open(storage.local_copy(image.storage_key)).convert("RGB"))
    if crop:
        pixels = pixels[Y_PX : Y_PX + SIDE_PX, X_PX : X_PX + SIDE_PX]
    model = tiny_model()
    with torch.inference_mode():
        return model.encode(model.preprocess(pixels))


@pytest.mark.parametrize("has_box", [False, True])
def test_a_crop_is_decoded_as_a_photo_of_its_own_and_told_in_pixels_of_the_photo(
    as_annotator: Client, wide_image: Image, looked_at: ModelVersion, has_box: bool
) -> None:
    from sam.prompting.predictor import Predictor

    predictor = Predictor(tiny_model())
    predictor.set_features(features_of(wide_image, CROP), (SIDE_PX, SIDE_PX))
    expected = predictor.predict(
        point_coords=np.array([[50.5, 40.5]]),
        point_labels=np.array([1]),
        box=np.array([30.0, 20.0, 70.0, 60.0]) if has_box else None,
        multimask_output=not has_box,
    )
    box = {"type": "box", "x0_px": 130.0, "y0_px": 40.0, "x1_px": 170.0, "y1_px": 80.0}

    response = post(
        as_annotator,
        f"/api/v1/images/{wide_image.pk}/decode",
        body(looked_at, IN_CROP, *[box] * has_box, crop=CROP),
    )

    assert response.status_code == 200, response.content
    best = int(np.argmax(expected.predicted_iou))
    answer = response.json()
    assert answer["predicted_iou"] == pytest.approx(float(expected.predicted_iou[best]), abs=1e-3)
    mask = Rle.from_coco(answer["rle"], image_hw=(120, 200)).decode()
    square = mask[Y_PX : Y_PX + SIDE_PX, X_PX : X_PX + SIDE_PX]
    assert (square == expected.masks_nhw[best]).mean() > 0.995
    assert mask.sum() == square.sum() > 0


def test_what_lies_outside_the_crop_stays_when_a_mask_is_changed_there(
    as_annotator: Client, wide_image: Image, looked_at: ModelVersion
) -> None:
    mask = np.zeros((120, 200), bool)
    mask[50:70, 80:150] = True
    path = f"/api/v1/images/{wide_image.pk}/decode"
    given = body(looked_at, IN_CROP, base_mask=Rle.encode(mask).to_coco(), crop=CROP)

    response = post(as_annotator, path, given)

    assert response.status_code == 200, response.content
    outside = np.ones_like(mask)
    outside[Y_PX : Y_PX + SIDE_PX, X_PX : X_PX + SIDE_PX] = False
    for one in response.json()["candidates"]:
        changed = Rle.from_coco(one["rle"], image_hw=(120, 200)).decode()
        assert np.array_equal(changed[outside], mask[outside])

    mask[:, X_PX:] = False
    elsewhere = post(as_annotator, path, {**given, "base_mask": Rle.encode(mask).to_coco()})
    assert elsewhere.status_code == 422
    assert "no pixel in the crop" in elsewhere.json()["message"]


@pytest.mark.parametrize(
    ("prompt", "crop", "said"),
    [
        ({**IN_CROP, "x_px": 90.0}, CROP, "(90, 60.5) lies outside the crop"),
        ({**BOX, "x1_px": 150.0}, CROP, "outside the crop (x from 100 to 200, y from 20"),
        (IN_CROP, "2-0-0", "1 levels of crops"),
        (IN_CROP, "everything", "crop"),
    ],
)
def test_what_does_not_fit_the_crop_is_refused(
    as_annotator: Client,
    wide_image: Image,
    looked_at: ModelVersion,
    prompt: dict[str, Any],
    crop: str,
    said: str,
) -> None:
    response = post(
        as_annotator,
        f"/api/v1/images/{wide_image.pk}/decode",
        body(looked_at, prompt, crop=crop),
    )

    assert response.status_code == 422
    assert said in response.json()["message"]


def test_a_crop_still_in_the_making_is_not_ready(
    as_annotator: Client, wide_image: Image, looked_at: ModelVersion
) -> None:
    response = post(
        as_annotator,
        f"/api/v1/images/{wide_image.pk}/decode",
        body(looked_at, IN_CROP, crop="1-0-1"),
    )

    assert (response.status_code, response.json()["code"]) == (409, "not_ready")
    assert wide_image.project.jobs.get().args["crop"] == "1-0-1"
