"""Image embeddings: made once an image and encoder, served to every browser."""

from __future__ import annotations

from engine import storage
from engine.domain.errors import Conflict, InvalidInput, NotReady
from engine.domain.jobs import JobKind
from engine.domain.states import ImageStatus, ModelFamily
from engine.models import Embedding, Image, Job, ModelVersion, Project
from engine.selectors.models import serving_version
from engine.services import jobs

MAX_EMBEDDING_BYTES = 64 * 2**20


def request_embedding(image: Image) -> Job | None:
    """Queue the embedding of the serving model; None when it is there or no model serves."""
    version = serving_version(image.project, family=ModelFamily.SAM)
    if version is None:
        return None
    if image.embeddings.filter(encoder_sha256=version.encoder_sha256).exists():
        return None
    return _enqueue(image, version=version)


def request_all(project: Project) -> int:
    """Queue every embedding the serving model lacks; return how many."""
    version = serving_version(project, family=ModelFamily.SAM)
    if version is None:
        return 0
    missing = project.images.exclude(status=ImageStatus.REJECTED.value).exclude(
        embeddings__encoder_sha256=version.encoder_sha256
    )
    for image in missing.select_related("project"):
        _enqueue(image, version=version)
    return missing.count()


def store_embedding(image: Image, *, encoder_sha256: str, data: bytes) -> Embedding:
    """Keep an embedding file (safetensors, see sam/embeddings.py); a second one changes nothing."""
    if not 0 < len(data) <= MAX_EMBEDDING_BYTES:
        raise InvalidInput(f"an embedding has 1 to {MAX_EMBEDDING_BYTES} bytes, not {len(data)}")
    key = storage.put_bytes("embeddings", data, ".safetensors")
    embedding, _ = Embedding.objects.get_or_create(
        image=image,
        encoder_sha256=encoder_sha256,
        defaults={
            "storage_key": key,
            "sha256": storage.sha256_of(key),
            "size_bytes": len(data),
        },
    )
    return embedding


def embedding_for(image: Image, *, encoder_sha256: str | None = None) -> Embedding:
    """Return the image's embedding of one encoder, by default the serving one's.

    NotReady while it is being made (asking also queues it); Conflict `outdated_embedding` when the
    encoder asked for is no longer the serving one and left nothing behind.
    """
    version = serving_version(image.project, family=ModelFamily.SAM)
    wanted = encoder_sha256 or (version.encoder_sha256 if version else "")
    if embedding := image.embeddings.filter(encoder_sha256=wanted).first():
        return embedding
    if version is None:
        raise NotReady("no segmentation model serves this project yet", code="no_model")
    if wanted != version.encoder_sha256:
        raise Conflict(
            "the model has changed since; load the image again", code="outdated_embedding"
        )
    request_embedding(image)
    raise NotReady("the embedding of this image is still being computed")


def _enqueue(image: Image, *, version: ModelVersion) -> Job:
    return jobs.enqueue(
        JobKind.EMBED_IMAGE,
        project=image.project,
        args={"image": image.pk, "model_version": version.pk},
        idem_key=f"embed_image:{image.pk}:{version.encoder_sha256}",
    )
