"""Image embeddings: made once an image and encoder, served to every browser.

So are those of an image's close-ups, the squares of masks/close_ups.py; but nobody makes them
before somebody looks there.
"""

from __future__ import annotations

from engine import storage
from engine.domain.errors import Conflict, InvalidInput, NotReady
from engine.domain.jobs import NOBODY_WAITS, URGENT, JobKind
from engine.domain.states import ImageStatus, JobStatus, ModelFamily
from engine.models import Embedding, Image, Job, ModelVersion, Project
from engine.models.image import WHOLE_PHOTO
from engine.selectors.images import without_embedding
from engine.selectors.models import serving_version
from engine.selectors.queue import in_queue_order
from engine.services.jobs import jobs
from masks.close_ups import CloseUp, CloseUpError

MAX_EMBEDDING_BYTES = 64 * 2**20
MAX_WAITING_CLOSE_UPS = 8
"""Of one image: more than several people look at; a script that asks for all shall not hold up
the others' photos, before which close-ups go."""


def request_embedding(
    image: Image, *, is_urgent: bool = False, close_up: str = WHOLE_PHOTO
) -> Job | None:
    """Queue the embedding of the serving model; None when it is there or no model serves.

    is_urgent: somebody is looking at the image now; it goes before everything else. So do
    close-ups, always. InvalidInput: the image has no such close-up. NotReady: too many of its
    close-ups wait already; ask again.
    """
    close_up = _checked(image, close_up)
    is_urgent = is_urgent or close_up != WHOLE_PHOTO
    version = serving_version(image.project, family=ModelFamily.SAM)
    if version is None:
        return None
    if image.embeddings.filter(encoder_sha256=version.encoder_sha256, close_up=close_up).exists():
        return None
    priority = URGENT if is_urgent else None
    request = _request(image, version=version, priority=priority, close_up=close_up)
    if close_up:
        _require_few_waiting(image, but=request.idem_key)
    job = jobs.enqueue(
        JobKind.EMBED_IMAGE,
        project=image.project,
        args=request.args,
        idem_key=request.idem_key,
        priority=request.priority,
    )
    if is_urgent:
        jobs.raise_priority(job, priority=URGENT)
    return job


def request_all(project: Project) -> Job | None:
    """Queue every embedding that the serving model lacks, as parts of one job; None: none lack."""
    version = serving_version(project, family=ModelFamily.SAM)
    if version is None:
        return None
    if not without_embedding(project, encoder_sha256=version.encoder_sha256).exists():
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
    lacking = without_embedding(job.project, encoder_sha256=version.encoder_sha256)
    ready = in_queue_order(lacking.filter(status=ImageStatus.READY.value))
    done = lacking.filter(status=ImageStatus.DONE.value)
    requests = [
        *(_request(image, version=version, priority=None) for image in ready),
        *(_request(image, version=version, priority=NOBODY_WAITS) for image in done),
    ]
    return jobs.enqueue_many(
        JobKind.EMBED_IMAGE, project=job.project, requests=requests, parent=job
    )


def store_embedding(
    image: Image, *, encoder_sha256: str, data: bytes, close_up: str = WHOLE_PHOTO
) -> Embedding:
    """Store an embedding file (see sam/checkpoints/embedding_files.py). Idempotent."""
    if not 0 < len(data) <= MAX_EMBEDDING_BYTES:
        raise InvalidInput(f"an embedding has 1 to {MAX_EMBEDDING_BYTES} bytes, not {len(data)}")
    key = storage.put_bytes("embeddings", data, ".safetensors")
    embedding, _ = Embedding.objects.get_or_create(
        image=image,
        encoder_sha256=encoder_sha256,
        close_up=_checked(image, close_up),
        defaults={
            "storage_key": key,
            "sha256": storage.sha256_of(key),
            "size_bytes": len(data),
        },
    )
    return embedding


def embedding_for(
    image: Image, *, encoder_sha256: str | None = None, close_up: str = WHOLE_PHOTO
) -> Embedding:
    """Return the embedding of the image, or of a close-up, by default of the serving encoder.

    InvalidInput when the image has no such close-up. NotReady while it is being made (asking also
    queues it); Conflict `outdated_embedding` when the encoder asked for is no longer the serving
    one and left nothing behind.
    """
    close_up = _checked(image, close_up)
    version = serving_version(image.project, family=ModelFamily.SAM)
    wanted = encoder_sha256 or (version.encoder_sha256 if version else "")
    if embedding := image.embeddings.filter(encoder_sha256=wanted, close_up=close_up).first():
        return embedding
    if version is None:
        raise NotReady("no segmentation model serves this project yet", code="no_model")
    if wanted != version.encoder_sha256:
        raise Conflict(
            "the model has changed since; load the image again", code="outdated_embedding"
        )
    request_embedding(image, is_urgent=True, close_up=close_up)
    what = f"close-up {close_up} of this image" if close_up else "this image"
    raise NotReady(f"the embedding of {what} is still being computed")


def close_up_of(image: Image, key: str) -> CloseUp:
    """Read a close-up's key; InvalidInput: the image has no such one."""
    try:
        return CloseUp.parse(key, image_hw=(image.height_px, image.width_px))
    except CloseUpError as error:
        raise InvalidInput(f"close_up: {error}") from None


def _request(
    image: Image, *, version: ModelVersion, priority: int | None, close_up: str = WHOLE_PHOTO
) -> jobs.Request:
    args: dict[str, object] = {"image": image.pk, "model_version": version.pk}
    idem_key = f"embed_image:{image.pk}:{version.encoder_sha256}"
    if close_up:
        args["close_up"] = close_up
        idem_key += f":{close_up}"
    return jobs.Request(args=args, idem_key=idem_key, priority=priority)


def _require_few_waiting(image: Image, *, but: str) -> None:
    waiting = image.project.jobs.filter(
        status=JobStatus.QUEUED.value,
        kind=JobKind.EMBED_IMAGE.value,
        args__image=str(image.pk),
        args__has_key="close_up",
    ).exclude(idem_key=but)
    if waiting.count() >= MAX_WAITING_CLOSE_UPS:
        raise NotReady(f"{MAX_WAITING_CLOSE_UPS} close-ups of this image are computed first")


def _checked(image: Image, close_up: str) -> str:
    """Return the one way to write a close-up's key."""
    return close_up_of(image, close_up).key if close_up else WHOLE_PHOTO
