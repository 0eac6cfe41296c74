"""Bytes of an image, its embedding, and decoding for clients without a decoder."""

from __future__ import annotations

from uuid import UUID

from django.http import HttpRequest, HttpResponseBase
from ninja import Query, Router

from annotator_ui import decoding
from annotator_ui.api import present, schemas
from annotator_ui.api.files import stored_file
from annotator_ui.lookups import image_by_id, version_by_id
from engine import storage
from engine.domain.errors import Conflict, InvalidInput, NotFound, NotReady
from engine.domain.prompts import BoxPrompt, PointPrompt, parse_prompts
from engine.domain.states import ModelFamily, ModelVersionStatus
from engine.models import Image, ModelVersion
from engine.services import embeddings
from masks.rle import Rle

router = Router()


@router.get("/images/{uuid:image_id}/file")
def image_file(request: HttpRequest, image_id: UUID) -> HttpResponseBase:
    return stored_file(request, image_by_id(image_id).storage_key)


@router.get("/images/{uuid:image_id}/thumbnail")
def image_thumbnail(request: HttpRequest, image_id: UUID) -> HttpResponseBase:
    return stored_file(request, image_by_id(image_id).thumbnail_key)


@router.get("/images/{uuid:image_id}/embedding")
def image_embedding(
    request: HttpRequest, image_id: UUID, query: Query[schemas.EncoderQuery]
) -> HttpResponseBase:
    """The stored embedding; 409 not_ready or outdated_embedding."""
    embedding = embeddings.embedding_for(image_by_id(image_id), encoder_sha256=query.encoder)
    return stored_file(request, embedding.storage_key)


def decoder_for(image: Image, body: schemas.DecodeIn) -> ModelVersion:
    """The asked version, if it serves the image's project with the asked encoder."""
    version = version_by_id(body.model_version_id)
    if version.project_id != image.project_id or version.family != ModelFamily.SAM:
        raise NotFound("there is no such model version in this project")
    serves = version.status == ModelVersionStatus.SERVING
    if not serves or version.encoder_sha256 != body.encoder_sha256:
        raise Conflict(
            "this model version no longer serves; take the image again", code="outdated_embedding"
        )
    if not version.decoder_key:
        raise NotReady("the decoder of this model version is still being exported")
    return version


@router.post("/images/{uuid:image_id}/decode", response=schemas.DecodeOut)
def decode(request: HttpRequest, image_id: UUID, body: schemas.DecodeIn) -> schemas.DecodeOut:
    """Masks for points and at most one box, made on the server; nothing is stored."""
    image = image_by_id(image_id)
    version = decoder_for(image, body)
    points, box = split_prompts(image, body)
    embedding = embeddings.embedding_for(image, encoder_sha256=version.encoder_sha256)
    candidates = decoding.decode(
        points,
        box,
        under=existing_mask(image, body),
        image_hw=(image.height_px, image.width_px),
        image_size_px=version.config["image_size_px"],
        low_res_side=version.config["image_size_px"] // version.config["low_res_stride_px"],
        decoder_sha256=version.decoder_sha256,
        decoder_path=storage.path_of(version.decoder_key),
        embedding_path=storage.path_of(embedding.storage_key),
    )
    return present.decode_out(candidates)


def existing_mask(image: Image, body: schemas.DecodeIn) -> Rle | None:
    """The mask that the prompts change, checked against the image."""
    if body.under is None:
        return None
    rle = Rle.from_coco(body.under.model_dump(), image_hw=(image.height_px, image.width_px))
    if rle.area_px == 0:
        raise InvalidInput("under: the mask to change is empty")
    return rle


def split_prompts(
    image: Image, body: schemas.DecodeIn
) -> tuple[list[PointPrompt], BoxPrompt | None]:
    """Points and the box of a decode request, checked against the image."""
    raw = [prompt.model_dump() for prompt in body.prompts]
    prompts = parse_prompts(raw, width_px=image.width_px, height_px=image.height_px)
    boxes = [prompt for prompt in prompts if isinstance(prompt, BoxPrompt)]
    if len(boxes) > 1:
        raise InvalidInput(f"prompts: at most one box at a time, not {len(boxes)}")
    points = [prompt for prompt in prompts if isinstance(prompt, PointPrompt)]
    return points, boxes[0] if boxes else None
