"""Image embeddings: made once an image and encoder, served to every browser."""

from __future__ import annotations

from django.db.models import QuerySet

from engine import storage
from engine.domain.errors import Conflict, InvalidInput, NotReady
from engine.domain.jobs import NOBODY_WAITS, URGENT, JobKind
from engine.domain.states import ImageStatus, ModelFamily
from engine.models import Embedding, Image, Job, ModelVersion, Project
from engine.selectors.models import serving_version
from engine.selectors.queue import in_queue_order
from engine.services import jobs

MAX_EMBEDDING_BYTES = 64 * 2**20


def request_embedding(image: Image, *, is_urgent: bool = False) -> Job | None:
    """Queue the embedding of the serving model; None when it is there or no model serves.

    is_urgent: somebody is looking at the image now; it goes before everything else.
    """
    version = serving_version(image.project, family=ModelFamily.SAM)
    if version is None:
        return None
    if image.embeddings.filter(encoder_sha256=version.encoder_sha256).exists():
        return None
    request = _request(image, version=version, priority=URGENT if is_urgent else None)
    job = jobs.enqueue(
        JobKind.EMBED_IMAGE,
        project=image.project,
        args=request.args,
        idem_key=request.idem_key,
        priority=request.priority,
    )
    if is_urgent:
        jobs.hurry(job, priority=URGENT)
    return job


def request_all(project: Project) -> Job | None:
    """Queue every embedding that the serving model lacks, as parts of one job; None: none lack."""
    version = serving_version(project, family=ModelFamily.SAM)
    if version is None or not _lacking(project, version=version).exists():
        return None
    return jobs.enqueue(
        JobKind.EMBED_PROJECT,
        project=project,
        args={"model_version": version.pk},
        idem_key=f"embed_project:{project.pk}:{version.encoder_sha256}",
    )


def request_parts(job: Job) -> int:
    """Queue the parts of an `embed_project` job, in the order in which people get the images.

    Images that are done come last: they are only looked at again. Nothing is queued for a model
    that has stopped serving in the meantime. Returns how many were queued.
    """
    version = serving_version(job.project, family=ModelFamily.SAM)
    if version is None or str(version.pk) != job.args["model_version"]:
        return 0
    lacking = _lacking(job.project, version=version)
    ready = in_queue_order(lacking.filter(status=ImageStatus.READY.value))
    done = lacking.filter(status=ImageStatus.DONE.value)
    requests = [
        *(_request(image, version=version, priority=None) for image in ready),
        *(_request(image, version=version, priority=NOBODY_WAITS) for image in done),
    ]
    return jobs.enqueue_many(
        JobKind.EMBED_IMAGE, project=job.project, requests=requests, parent=job
    )


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
    request_embedding(image, is_urgent=True)
    raise NotReady("the embedding of this image is still being computed")


def _lacking(project: Project, *, version: ModelVersion) -> QuerySet[Image]:
    return project.images.exclude(status=ImageStatus.REJECTED.value).exclude(
        embeddings__encoder_sha256=version.encoder_sha256
    )


def _request(image: Image, *, version: ModelVersion, priority: int | None) -> jobs.Request:
    return jobs.Request(
        args={"image": image.pk, "model_version": version.pk},
        idem_key=f"embed_image:{image.pk}:{version.encoder_sha256}",
        priority=priority,
    )
