"""People, photos and a tiny starter model; files lie in tmp_path, rows in the test database."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
from django.test import Client
from pytest_django import Settings

from engine.domain.ids import uuid7
from engine.models import Assignment, Image, Project, User
from engine.services.images import images
from engine.services.masks import assignments, masks
from engine.services.people import users
from masks.rle import Rle
from tests import factories

PASSWORD = "a long enough phrase"
HEIGHT_PX, WIDTH_PX = 48, 64


def tiny_model() -> Any:
    """The smallest model with both kinds of features, always with the same weights."""
    import torch

    from sam.modeling.model import Sam
    from sam.modeling.presets import PRESETS

    torch.manual_seed(0)
    tiny = PRESETS["tiny"]
    return Sam(replace(tiny, decoder=replace(tiny.decoder, prompt_maps=()))).eval()


@pytest.fixture(scope="session")
def starter_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A starter folder as shipped, with a tiny untrained model and its decoder."""
    from sam.checkpoints import checkpoint_files
    from sam.export import onnx_decoder

    folder = tmp_path_factory.mktemp("starter")
    model = tiny_model()
    metadata = {"encoder_sha256": checkpoint_files.encoder_sha256(model)}
    checkpoint_files.save(model, folder / "starter.safetensors", metadata)
    onnx_decoder.export_decoder(model, folder / "decoder.onnx")
    return folder


@pytest.fixture(autouse=True)
def own_folders(settings: Settings, tmp_path: Path, starter_dir: Path) -> None:
    settings.DATA_DIR = tmp_path
    settings.STATIC_ROOT = tmp_path / "static"
    settings.STATIC_ROOT.mkdir()
    settings.STARTER_DIR = starter_dir
    settings.WHITENOISE_USE_FINDERS = True
    settings.WHITENOISE_AUTOREFRESH = True
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture
def lead(db: None) -> User:
    return join_all(users.create_user("lena", role="lead", password=PASSWORD))


@pytest.fixture
def annotator(db: None) -> User:
    return join_all(users.create_user("anna", role="annotator", password=PASSWORD))


def join_all(user: User) -> User:
    """Make the user a member of every project there is, with the account's own role."""
    for project in Project.objects.exclude(memberships__user=user):
        factories.join(project, user)
    return user


def client_of(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def as_lead(lead: User) -> Client:
    return client_of(lead)


@pytest.fixture
def as_annotator(annotator: User) -> Client:
    return client_of(annotator)


@pytest.fixture
def project(lead: User) -> Project:
    """A project of everybody who has an account."""
    return factories.make_project("Roof tiles", lead=lead)


def image_bytes(seed: int = 0, *, width_px: int = WIDTH_PX, height_px: int = HEIGHT_PX) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 255, (height_px, width_px, 3), np.uint8)
    file = io.BytesIO()
    PIL.Image.fromarray(pixels).save(file, "JPEG")
    return file.getvalue()


AddImage = Callable[..., Image]


@pytest.fixture
def add_image(project: Project, lead: User) -> AddImage:
    def add(seed: int = 0) -> Image:
        image, _ = images.ingest_image(
            project, data=image_bytes(seed), file_name=f"photo-{seed}.jpg", actor=lead
        )
        return image

    return add


@pytest.fixture
def image(add_image: AddImage) -> Image:
    return add_image()


@pytest.fixture
def assignment(image: Image, annotator: User) -> Assignment:
    return assignments.lease_image(image, annotator=annotator)


def square(top: int = 5, left: int = 7, side: int = 20, **size: int) -> Rle:
    mask = np.zeros((size.get("height_px", HEIGHT_PX), size.get("width_px", WIDTH_PX)), bool)
    mask[top : top + side, left : left + side] = True
    return Rle.encode(mask)


def mask_body(shape: Rle | None = None, **changes: Any) -> dict[str, Any]:
    """A MaskIn of one positive click, as the page sends it."""
    return {
        "mask_id": str(uuid7()),
        "revision_id": str(uuid7()),
        "rle": (shape or square()).to_coco(),
        "prompts": [{"type": "point", "x_px": 12.5, "y_px": 10.0, "label": 1}],
        "annotate_ms": 4200,
        **changes,
    }


def save_mask(assignment: Assignment, rle: Rle | None = None) -> masks.SavedMask:
    return masks.save_mask(
        assignment,
        actor=assignment.annotator,
        mask_id=uuid7(),
        revision_id=uuid7(),
        rle=rle or square(),
        prompts=[],
    )


def content_of(response: Any) -> bytes:
    """The whole body of a response; reading a streamed one to its end closes its file."""
    return b"".join(response.streaming_content) if response.streaming else bytes(response.content)


def post(client: Client, path: str, body: object = None) -> Any:
    """POST JSON; `body` None sends an empty object."""
    data = json.dumps({} if body is None else body)
    return client.post(path, data, content_type="application/json")


@pytest.fixture
def embedding_bytes() -> Callable[[Image], bytes]:
    """What a worker would store for an image, made by the tiny starter model."""
    from sam.checkpoints import checkpoint_files, embedding_files

    model = tiny_model()

    def make(image: Image) -> bytes:
        import torch

        pixels = np.zeros((image.height_px, image.width_px, 3), np.uint8)
        pixels[10:30, 10:30] = 200
        with torch.no_grad():
            features = model.encode(model.preprocess(pixels))
        return embedding_files.to_bytes(
            features, encoder_sha256=checkpoint_files.encoder_sha256(model)
        )

    return make
