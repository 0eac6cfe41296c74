from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from pathlib import Path

import PIL.Image
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from pytest_django import Settings

from engine.models import Image, Job, Project
from engine.services.images import embeddings
from tests import factories
from tests.annotator_ui.conftest import HEIGHT_PX, WIDTH_PX, content_of, image_bytes

UPLOAD = "/api/v1/projects/roof-tiles/images"


def file(name: str, data: bytes) -> SimpleUploadedFile:
    return SimpleUploadedFile(name, data, content_type="image/jpeg")


def test_photos_are_added_and_their_embeddings_asked_for(as_lead: Client, project: Project) -> None:
    files = [file("a.jpg", image_bytes(1)), file("b.jpg", image_bytes(2))]

    response = as_lead.post(UPLOAD, {"file": files})

    assert response.status_code == 201
    first, second = response.json()["images"]
    assert (first["file_name"], second["file_name"]) == ("a.jpg", "b.jpg")
    assert (first["width_px"], first["height_px"]) == (WIDTH_PX, HEIGHT_PX)
    assert project.images.count() == 2
    assert Job.objects.filter(kind="embed_image").count() == 2


def test_a_text_named_jpg_is_refused_with_a_reason_and_nothing_is_stored(
    as_lead: Client, project: Project, tmp_path: Path
) -> None:
    response = as_lead.post(UPLOAD, {"file": file("notes.jpg", b"these are my notes")})

    assert response.status_code == 422
    body = response.json()
    assert body["code"] == "invalid_input"
    assert body["refused"][0]["file_name"] == "notes.jpg"
    assert len(body["refused"][0]["message"]) > 10
    assert body["images"] == []
    assert not project.images.exists()
    assert not list((tmp_path / "files").glob("images/**/*.*"))


def test_the_good_photos_of_a_batch_are_kept(as_lead: Client, project: Project) -> None:
    files = [file("good.jpg", image_bytes()), file("bad.jpg", b"GIF89a"), file("empty.jpg", b"")]

    response = as_lead.post(UPLOAD, {"file": files})

    assert response.status_code == 422
    assert [one["file_name"] for one in response.json()["images"]] == ["good.jpg"]
    assert [one["file_name"] for one in response.json()["refused"]] == ["bad.jpg", "empty.jpg"]
    assert project.images.count() == 1


def test_a_file_over_the_limit_is_refused(
    as_lead: Client, project: Project, settings: Settings
) -> None:
    settings.MAX_UPLOAD_BYTES = 100

    response = as_lead.post(UPLOAD, {"file": file("big.jpg", image_bytes())})

    assert response.status_code == 422
    assert not project.images.exists()


def test_an_upload_without_a_file_names_the_field(as_lead: Client, project: Project) -> None:
    response = as_lead.post(UPLOAD, {})

    assert response.status_code == 422
    assert response.json()["fields"][0]["field"] == "file"


def test_the_same_photo_is_kept_once(as_lead: Client, project: Project) -> None:
    first = as_lead.post(UPLOAD, {"file": file("a.jpg", image_bytes())}).json()
    again = as_lead.post(UPLOAD, {"file": file("b.jpg", image_bytes())})

    assert again.status_code == 201
    assert again.json()["images"][0]["id"] == first["images"][0]["id"]
    assert project.images.count() == 1


def test_a_photo_comes_with_a_hash_and_may_be_kept_for_ever(
    as_annotator: Client, image: Image
) -> None:
    response = as_annotator.get(f"/api/v1/images/{image.pk}/file")
    body = content_of(response)

    assert response.status_code == 200
    assert response.headers["ETag"] == f'"{hashlib.sha256(body).hexdigest()}"'
    assert response.headers["Cache-Control"] == "private, max-age=31536000, immutable"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["Content-Type"].startswith("image/")
    assert PIL.Image.open(io.BytesIO(body)).size == (WIDTH_PX, HEIGHT_PX)


@pytest.mark.parametrize("held", ['"{}"', 'W/"{}"', '"other", "{}"', "*"])
def test_a_photo_the_browser_holds_is_not_sent_again(
    as_annotator: Client, image: Image, held: str
) -> None:
    path = f"/api/v1/images/{image.pk}/thumbnail"
    first = as_annotator.get(path)
    content_of(first)
    tag = first.headers["ETag"].strip('"')

    response = as_annotator.get(path, headers={"if-none-match": held.format(tag)})

    assert response.status_code == 304
    assert response.headers["ETag"] == f'"{tag}"'
    assert content_of(response) == b""


def test_another_tag_does_not_hide_the_photo(as_annotator: Client, image: Image) -> None:
    response = as_annotator.get(
        f"/api/v1/images/{image.pk}/file", headers={"if-none-match": '"' + "0" * 64 + '"'}
    )

    assert response.status_code == 200
    assert content_of(response)


def test_an_embedding_is_not_ready_then_ready(
    as_annotator: Client, image: Image, embedding_bytes: Callable[[Image], bytes]
) -> None:
    serving = image.project.model_versions.get(family="sam")
    path = f"/api/v1/images/{image.pk}/embedding?encoder={serving.encoder_sha256}"
    before = as_annotator.get(path)
    data = embedding_bytes(image)
    embeddings.store_embedding(image, encoder_sha256=serving.encoder_sha256, data=data)

    after = as_annotator.get(path)

    assert (before.status_code, before.json()["code"]) == (409, "not_ready")
    assert after.status_code == 200
    assert content_of(after) == data
    assert after.headers["ETag"] == f'"{hashlib.sha256(data).hexdigest()}"'


def test_the_embedding_of_a_crop_has_its_own_address(
    as_annotator: Client, project: Project
) -> None:
    image = factories.make_image(project, width_px=400, height_px=300)
    sha256 = project.model_versions.get(family="sam").encoder_sha256
    whole = f"/api/v1/images/{image.pk}/embedding?encoder={sha256}"
    path = f"{whole}&crop=2-1-2"
    before = as_annotator.get(path)
    embeddings.store_embedding(image, encoder_sha256=sha256, data=b"square", crop="2-1-2")

    after = as_annotator.get(path)

    assert (before.status_code, before.json()["code"]) == (409, "not_ready")
    assert "crop 2-1-2" in before.json()["message"]
    assert content_of(after) == b"square"
    assert "immutable" in after.headers["Cache-Control"]
    assert as_annotator.get(whole).status_code == 409
    assert as_annotator.get(path.replace(sha256, "0" * 64)).json()["code"] == "outdated_embedding"


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("3-0-0", "2 levels of crops"),
        ("1-0-9", "3 columns"),
        ("a", "crop"),
        ("", "crop"),
    ],
)
def test_a_crop_that_a_photo_does_not_have_is_refused(
    as_annotator: Client, project: Project, key: str, said: str
) -> None:
    image = factories.make_image(project, width_px=400, height_px=300)

    response = as_annotator.get(f"/api/v1/images/{image.pk}/embedding?crop={key}")

    assert response.status_code == 422
    assert said in response.json()["message"]


def test_the_embedding_of_a_replaced_encoder_is_outdated(
    as_annotator: Client, image: Image
) -> None:
    response = as_annotator.get(f"/api/v1/images/{image.pk}/embedding?encoder={'0' * 64}")

    assert (response.status_code, response.json()["code"]) == (409, "outdated_embedding")


def test_an_encoder_that_is_no_hash_is_refused(as_annotator: Client, image: Image) -> None:
    response = as_annotator.get(f"/api/v1/images/{image.pk}/embedding?encoder=../../etc/passwd")

    assert response.status_code == 422
    assert "encoder" in response.json()["message"]


def test_the_decoder_is_served_with_its_hash(as_annotator: Client, project: Project) -> None:
    serving = project.model_versions.get(family="sam")

    response = as_annotator.get(f"/api/v1/model-versions/{serving.pk}/decoder")

    assert response.status_code == 200
    assert hashlib.sha256(content_of(response)).hexdigest() == serving.decoder_sha256


@pytest.mark.parametrize(
    "path",
    [
        "images/00000000-0000-7000-8000-000000000000/file",
        "images/not-an-id/file",
        "images/00000000-0000-7000-8000-000000000000/masks",
        "model-versions/00000000-0000-7000-8000-000000000000/decoder",
        "model-versions/00000000-0000-7000-8000-000000000000/decoder-image",
        "model-versions/00000000-0000-7000-8000-000000000000/decoder-prompt",
        "projects/none",
    ],
)
def test_unknown_things_are_404(as_annotator: Client, path: str) -> None:
    response = as_annotator.get(f"/api/v1/{path}")

    assert response.status_code == 404
    assert response.json()["code"] == "not_found"
