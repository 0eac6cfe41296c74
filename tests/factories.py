"""Ready-made rows and files for tests, built through the services wherever one exists."""

from __future__ import annotations

import io
import json
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
from django.conf import settings
from PIL import Image as PillowImage

from engine import storage
from engine.domain.ids import uuid7
from engine.domain.states import ModelFamily, ModelVersionStatus, Role
from engine.models import Assignment, Image, ModelVersion, Project, Snapshot, User
from engine.services.images import images
from engine.services.masks import assignments, masks
from engine.services.people import members, users
from engine.services.projects import projects
from masks.rle import Rle

ENCODER = "e" * 64


def make_user(username: str = "", *, role: str = Role.ANNOTATOR) -> User:
    """An account that is a member of every project there is; see `make_outsider`."""
    user = make_outsider(username, role=role)
    for project in Project.objects.all():
        join(project, user)
    return user


def make_outsider(username: str = "", *, role: str = Role.ANNOTATOR) -> User:
    """An account that belongs nowhere."""
    return users.create_user(username or f"user-{uuid7().hex[-8:]}", role=role)


def join(project: Project, user: User, role: Role | None = None) -> None:
    """Make the user a member, with the account's own role unless another is named."""
    if role is None:
        role = Role.ANNOTATOR if user.role == Role.ANNOTATOR else Role.LEAD
    members.add_member(project, user=user, role=role, actor=None)


def make_lead(username: str = "") -> User:
    return make_user(username, role=Role.LEAD)


def make_project(name: str = "Fruit", *, lead: User | None = None) -> Project:
    """A project that everybody who has an account is a member of."""
    others = list(User.objects.exclude(pk=lead.pk) if lead else User.objects.all())
    project = projects.create_project(name, actor=lead or make_outsider(role=Role.LEAD))
    for user in others:
        join(project, user)
    return project


def image_bytes(
    *, width_px: int = 48, height_px: int = 32, seed: int = 0, format: str = "PNG"
) -> bytes:
    """Bytes of a small photo; another seed is another photo."""
    pixels = np.random.default_rng(seed).integers(0, 255, (height_px, width_px, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    PillowImage.fromarray(pixels).save(buffer, format)
    return buffer.getvalue()


def make_image(project: Project, *, width_px: int = 48, height_px: int = 32) -> Image:
    """A new image of the project, straight into storage (no child process: many tests, quick)."""
    data = image_bytes(width_px=width_px, height_px=height_px, seed=uuid7().int % 2**32)
    key = storage.put_bytes("images", data, ".png")
    return Image.objects.create(
        project=project,
        sha256=storage.sha256_of(key),
        storage_key=key,
        thumbnail_key=storage.put_bytes("thumbnails", data, ".jpg"),
        file_name="photo.png",
        width_px=width_px,
        height_px=height_px,
    )


def ingest(project: Project, data: bytes, *, file_name: str = "photo.png") -> Image:
    image, _ = images.ingest_image(
        project, data=data, file_name=file_name, actor=project.created_by
    )
    return image


def square(image: Image, *, x_px: int = 4, y_px: int = 4, side_px: int = 12) -> Rle:
    """A square mask of the image's size."""
    mask_hw = np.zeros((image.height_px, image.width_px), dtype=bool)
    mask_hw[y_px : y_px + side_px, x_px : x_px + side_px] = True
    return Rle.encode(mask_hw)


def click(x_px: float = 8.0, y_px: float = 8.0, *, label: int = 1) -> dict[str, Any]:
    return {"type": "point", "x_px": x_px, "y_px": y_px, "label": label}


def save(
    assignment: Assignment,
    *,
    rle: Rle | None = None,
    mask_id: UUID | None = None,
    revision_id: UUID | None = None,
    **options: Any,
) -> masks.SavedMask:
    """Save a square as the assignment's annotator."""
    return masks.save_mask(
        assignment,
        actor=options.pop("actor", assignment.annotator),
        mask_id=mask_id or uuid7(),
        revision_id=revision_id or uuid7(),
        rle=rle or square(assignment.image),
        prompts=options.pop("prompts", [click()]),
        **options,
    )


def label_images(
    project: Project, *, num_images: int, masks_per_image: int = 1, annotator: User | None = None
) -> list[Image]:
    """Make images and label each with squares by one annotator, submitted."""
    annotator = annotator or make_user()
    labelled = []
    for _ in range(num_images):
        image = make_image(project)
        assignment = assignments.lease_image(image, annotator=annotator)
        for place in range(masks_per_image):
            save(assignment, rle=square(image, x_px=2 + 2 * place, side_px=10), annotate_ms=4000)
        assignments.submit(assignment, actor=annotator)
        image.refresh_from_db()
        labelled.append(image)
    return labelled


def make_version(
    project: Project,
    *,
    family: ModelFamily = ModelFamily.SAM,
    status: ModelVersionStatus = ModelVersionStatus.SERVING,
    encoder_sha256: str = ENCODER,
    snapshot: Snapshot | None = None,
    has_decoder: bool = True,
) -> ModelVersion:
    """A model version whose files hold a few bytes."""
    number = project.model_versions.filter(family=family.value).count() + 1
    name = f"{family}-{number}-{encoder_sha256}".encode()
    checkpoint_key = storage.put_bytes("checkpoints", name, ".safetensors")
    decoder_key = storage.put_bytes("decoders", name, ".onnx") if has_decoder else ""
    return ModelVersion.objects.create(
        project=project,
        family=family.value,
        number=number,
        arch="tiny",
        status=status.value,
        snapshot=snapshot,
        checkpoint_key=checkpoint_key,
        checkpoint_sha256=storage.sha256_of(checkpoint_key),
        encoder_sha256=encoder_sha256,
        decoder_key=decoder_key,
        decoder_sha256=storage.sha256_of(decoder_key) if decoder_key else "",
    )


def write_starter(*names: str, encoder_sha256: str = ENCODER, has_decoder: bool = False) -> Path:
    """Put model files with real safetensors headers into the starter folder."""
    folder = Path(settings.STARTER_DIR)
    folder.mkdir(parents=True, exist_ok=True)
    contents: dict[str, Sequence[tuple[str, Any]]] = {
        "starter.safetensors": [
            ("segloop_config", {"arch": "tiny", "image_size_px": 64}),
            ("segloop_metadata", {"encoder_sha256": encoder_sha256}),
        ],
        "detector.safetensors": [
            ("segloop_detector_config", {"encoder_sha256": encoder_sha256}),
        ],
    }
    for name in names or tuple(contents):
        metadata = {key: json.dumps(value) for key, value in contents[name]}
        header = json.dumps({"__metadata__": metadata}).encode()
        (folder / name).write_bytes(struct.pack("<Q", len(header)) + header)
    if has_decoder:
        (folder / "decoder.onnx").write_bytes(b"onnx")
    return folder


def gate_report(against: ModelVersion | None, **changes: float) -> dict[str, Any]:
    """What a worker found out about a candidate: `changes` of clicks_1, clicks_3, clicks_5, all.

    A change is what all masks gained, so that the interval is a point; kinds not named gained 0.1.
    """
    probe = {
        "is_finite": True,
        "num_masks": 8,
        "empty_share": 0.0,
        "hit_share": 1.0,
        "encode_ms": 100.0,
        "decode_ms": 10.0,
    }
    gains = dict.fromkeys(("clicks_1", "clicks_3", "clicks_5", "all"), 0.1) | changes
    return {
        "probe": probe,
        "decoder_error": "",
        "against": None if against is None else str(against.pk),
        "against_probe": dict(probe),
        "differences": {kind: difference(gain) for kind, gain in gains.items()},
        "slices": {},
    }


def difference(gain: float, *, num_masks: int = 20) -> dict[str, float]:
    """A difference that is the same on every mask."""
    return {
        "mean": gain,
        "low": gain,
        "high": gain,
        "worse_share": float(gain < 0),
        "num_masks": num_masks,
    }
