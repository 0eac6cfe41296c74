"""Images of a project: list and upload them, their bytes and embeddings, decoding on the server."""

from __future__ import annotations

from uuid import UUID

from django.http import HttpRequest, HttpResponseBase
from ninja import File, Query, Router, Status
from ninja.files import UploadedFile

from annotator_ui import present, schemas
from annotator_ui.features.images import uploads
from annotator_ui.http.answers import answers, files
from annotator_ui.http.files import cached_file, stored_file
from annotator_ui.http.lookups import image_by_id, project_by_slug, version_by_id
from annotator_ui.http.permissions import Actor, actor_of
from engine import storage
from engine.decoding import decoder
from engine.decoding.frame import DecoderSizes
from engine.decoding.network import cached_network, load_embedding
from engine.decoding.prompts import CropXywh, DecoderPrompts, require_mask_in_crop
from engine.domain.errors import Conflict, InvalidInput, NotFound, NotReady
from engine.domain.roles import Permission
from engine.domain.states import ModelFamily, ModelVersionStatus
from engine.models import Image, ModelVersion
from engine.models.image import WHOLE_IMAGE
from engine.selectors import images as image_rows
from engine.services.images import embeddings, overlays
from masks.rle import Rle

router = Router(tags=["images"])


PHOTO_TYPES = ("image/jpeg", "image/png", "image/webp")


@router.get("/projects/{slug:slug}/images", response=answers(schemas.ImagePageOut, 404, 422))
def list_images(
    request: HttpRequest, slug: str, query: Query[schemas.PageQuery]
) -> schemas.ImagePageOut:
    """List the images, oldest first, a page at a time."""
    found = project_by_slug(actor_of(request), slug, to=Permission.VIEW)
    rows = image_rows.for_project(found)
    if query.after is not None:
        last = found.images.filter(pk=query.after).first()
        if last is None:
            raise NotFound("there is no such image in this project")
        rows = image_rows.after(rows, last)
    page = list(rows[: query.limit + 1])
    shown = page[: query.limit]
    return schemas.ImagePageOut(
        images=[present.image_row_out(image) for image in shown],
        next=shown[-1].pk if len(page) > len(shown) else None,
    )


@router.post(
    "/projects/{slug:slug}/images",
    response=answers({201: schemas.UploadOut}, 404, 413)
    | {422: schemas.UploadRefusedOut | schemas.InvalidOut},
)
def upload_images(
    request: HttpRequest, slug: str, file: File[list[UploadedFile]]
) -> Status[schemas.UploadOut]:
    """Add images. 422 names each refused file; the good ones of the batch are kept."""
    actor = actor_of(request)
    found = project_by_slug(actor, slug, to=Permission.ADD_IMAGES)
    batch = uploads.take_files(found, file, actor=actor.user)
    images = [present.image_out(image) for image in batch.images]
    if not batch.refused:
        return Status(201, schemas.UploadOut(images=images))
    refused = [
        schemas.RefusedFile(file_name=one.file_name, message=one.message) for one in batch.refused
    ]
    message = "; ".join(f"{one.file_name}: {one.message}" for one in refused[:5])
    return Status(
        422,
        schemas.UploadRefusedOut(
            code="invalid_input", message=message, refused=refused, images=images
        ),
    )


@router.get("/images/{uuid:image_id}/file", **files(PHOTO_TYPES, 404))
def image_file(request: HttpRequest, image_id: UUID) -> HttpResponseBase:
    """The image as stored: oriented, without metadata. All masks are in its pixels."""
    image = image_by_id(actor_of(request), image_id, to=Permission.VIEW)
    return stored_file(request, image.storage_key)


@router.get("/images/{uuid:image_id}/thumbnail", **files(("image/jpeg",), 404))
def image_thumbnail(request: HttpRequest, image_id: UUID) -> HttpResponseBase:
    """A small copy of the image."""
    image = image_by_id(actor_of(request), image_id, to=Permission.VIEW)
    return stored_file(request, image.thumbnail_key)


@router.get("/images/{uuid:image_id}/overlay", **files(("image/png", "image/webp"), 404, 409, 422))
def image_overlay(
    request: HttpRequest, image_id: UUID, query: Query[schemas.OverlayQuery]
) -> HttpResponseBase:
    """A small picture of the masks as they are now; 404 no_masks. May be kept when `masks` fits."""
    image = image_by_id(actor_of(request), image_id, to=Permission.VIEW)
    path, mark = overlays.overlay_of(image)
    return cached_file(request, path, etag=mark, immutable=query.masks == mark)


@router.get(
    "/images/{uuid:image_id}/embedding",
    **files(("application/octet-stream",), 404, 409, 422),
)
def image_embedding(
    request: HttpRequest, image_id: UUID, query: Query[schemas.EncoderQuery]
) -> HttpResponseBase:
    """The stored embedding of the image or of a crop; 409 not_ready or outdated_embedding."""
    image = image_by_id(actor_of(request), image_id, to=Permission.VIEW)
    embedding = embeddings.embedding_for(
        image, encoder_sha256=query.encoder, crop=query.crop or WHOLE_IMAGE
    )
    return stored_file(request, embedding.storage_key)


def decoder_for(actor: Actor, image: Image, body: schemas.DecodeIn) -> ModelVersion:
    """The asked version, if it serves the image's project with the asked encoder."""
    version = version_by_id(actor, body.model_version_id, to=Permission.VIEW)
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


@router.post(
    "/images/{uuid:image_id}/decode", response=answers(schemas.DecodeOut, 404, 409, 413, 422)
)
def decode(request: HttpRequest, image_id: UUID, body: schemas.DecodeIn) -> schemas.DecodeOut:
    """Masks for points and at most one box, made on the server; nothing is stored."""
    actor = actor_of(request)
    image = image_by_id(actor, image_id, to=Permission.LABEL)
    version = decoder_for(actor, image, body)
    image_hw = (image.height_px, image.width_px)
    prompts = DecoderPrompts.parse([one.model_dump() for one in body.prompts], image_hw=image_hw)
    base_mask = existing_mask(image, body)
    crop_xywh_px = crop_of(image, body.crop, prompts, base_mask=base_mask)
    embedding = embeddings.embedding_for(
        image, encoder_sha256=version.encoder_sha256, crop=body.crop or WHOLE_IMAGE
    )
    path = storage.local_copy(version.decoder_key)
    candidates = decoder.decode(
        prompts,
        network=cached_network(path, sha256=version.decoder_sha256),
        embedding=load_embedding(storage.local_copy(embedding.storage_key)),
        sizes=DecoderSizes.from_config(version.config),
        image_hw=image_hw,
        crop_xywh_px=crop_xywh_px,
        base_mask=base_mask,
    )
    return present.decode_out(candidates)


def existing_mask(image: Image, body: schemas.DecodeIn) -> Rle | None:
    """The mask that the prompts change, checked against the image."""
    if body.base_mask is None:
        return None
    rle = Rle.from_coco(body.base_mask.model_dump(), image_hw=(image.height_px, image.width_px))
    if rle.area_px == 0:
        raise InvalidInput("base_mask: the mask to change is empty")
    return rle


def crop_of(
    image: Image, key: str | None, prompts: DecoderPrompts, *, base_mask: Rle | None
) -> CropXywh | None:
    """The crop's place in the image, checked against what is asked there; None: no crop."""
    if key is None:
        return None
    crop = embeddings.crop_from_key(image, key)
    crop_xywh_px = crop.xywh_px((image.height_px, image.width_px))
    prompts.require_inside(crop_xywh_px)
    if base_mask is not None:
        require_mask_in_crop(base_mask, crop_xywh_px)
    return crop_xywh_px
