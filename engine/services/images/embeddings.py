"""Image embeddings: made once an image and encoder, served to every browser.

So are those of an image's crops, the squares of masks/crops.py; but nobody makes them
before somebody looks there.
"""

from __future__ import annotations

from engine import storage
from engine.domain.errors import Conflict, InvalidInput, NotReady
from engine.domain.jobs import NOBODY_WAITS, URGENT, JobKind
from engine.domain.states import ImageStatus, JobStatus, ModelFamily
from engine.models import Embedding, Image, Job, ModelVersion, Project
from engine.models.image import WHOLE_IMAGE
from engine.selectors.images import without_embedding
from engine.selectors.models import serving_version
from engine.selectors.queue import in_queue_order
from engine.services.jobs import jobs
from masks.crops import Crop, CropError

MAX_EMBEDDING_BYTES = 64 * 2**20
MAX_WAITING_CROPS = 8
"""Of one image: more than several people look at; a script that asks for all shall not hold up
the others' images, before which crops go."""


def request_embedding(
    image: Image, *, is_urgent: bool = False, crop: str = WHOLE_IMAGE
) -> Job | None:
    """Queue the embedding of the serving model; None when it is there or no model serves.

    is_urgent: somebody is looking at the image now; it goes before everything else. So do
    crops, always. InvalidInput: the image has no such crop. NotReady: too many of its
    crops wait already; ask again.
    """
    crop = _checked(image, crop)
    is_urgent = is_urgent or crop != WHOLE_IMAGE
    version = serving_version(image.project, family=ModelFamily.SAM)
    if version is None:
        return None
    if image.embeddings.filter(encoder_sha256=version.encoder_sha256, crop=crop).exists():
        return None
    priority = URGENT if is_urgent else None
    request = _request(image, version=version, priority=priority, crop=crop)
    if crop:
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
    image: Image, *, encoder_sha256: str, data: bytes, crop: str = WHOLE_IMAGE
) -> Embedding:
    """Store an embedding file (see sam/checkpoints/embedding_files.py). Idempotent."""
    if not 0 < len(data) <= MAX_EMBEDDING_BYTES:
        raise InvalidInput(f"an embedding has 1 to {MAX_EMBEDDING_BYTES} bytes, not {len(data)}")
    key = storage.put_bytes("embeddings", data, ".safetensors")
    embedding, _ = Embedding.objects.get_or_create(
        image=image,
        encoder_sha256=encoder_sha256,
        crop=_checked(image, crop),
        defaults={
            "storage_key": key,
            "sha256": storage.sha256_of(key),
            "size_bytes": len(data),
        },
    )
    return embedding


def embedding_for(
    image: Image, *, encoder_sha256: str | None = None, crop: str = WHOLE_IMAGE
) -> Embedding:
    """Return the embedding of the image, or of a crop, by default of the serving encoder.

    InvalidInput when the image has no such crop. NotReady while it is being made (asking also
    queues it); Conflict `outdated_embedding` when the encoder asked for is no longer the serving
    one and left nothing behind.
    """
    crop = _checked(image, crop)
    version = serving_version(image.project, family=ModelFamily.SAM)
    wanted = encoder_sha256 or (version.encoder_sha256 if version else "")
    if embedding := image.embeddings.filter(encoder_sha256=wanted, crop=crop).first():
        return embedding
    if version is None:
        raise NotReady("no segmentation model serves this project yet", code="no_model")
    if wanted != version.encoder_sha256:
        raise Conflict(
            "the model has changed since; load the image again", code="outdated_embedding"
        )
    request_embedding(image, is_urgent=True, crop=crop)
    what = f"crop {crop} of this image" if crop else "this image"
    raise NotReady(f"the embedding of {what} is still being computed")


def crop_from_key(image: Image, key: str) -> Crop:
    """Read a crop's key; InvalidInput: the image has no such one."""
    try:
        return Crop.parse(key, image_hw=(image.height_px, image.width_px))
    except CropError as error:
        raise InvalidInput(f"crop: {error}") from None


def _request(
    image: Image, *, version: ModelVersion, priority: int | None, crop: str = WHOLE_IMAGE
) -> jobs.Request:
    args: dict[str, object] = {"image": image.pk, "model_version": version.pk}
    idem_key = f"embed_image:{image.pk}:{version.encoder_sha256}"
    if crop:
        args["crop"] = crop
        idem_key += f":{crop}"
    return jobs.Request(args=args, idem_key=idem_key, priority=priority)


def _require_few_waiting(image: Image, *, but: str) -> None:
    waiting = image.project.jobs.filter(
        status=JobStatus.QUEUED.value,
        kind=JobKind.EMBED_IMAGE.value,
        args__image=str(image.pk),
        args__has_key="crop",
    ).exclude(idem_key=but)
    if waiting.count() >= MAX_WAITING_CROPS:
        raise NotReady(f"{MAX_WAITING_CROPS} crops of this image are computed first")


def _checked(image: Image, crop: str) -> str:
    """Return the one way to write a crop's key."""
    return crop_from_key(image, crop).key if crop else WHOLE_IMAGE
