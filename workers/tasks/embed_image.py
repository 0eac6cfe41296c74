"""`embed_image {image, model_version, close_up?}`: what one encoder sees in one photo.

Or in a close-up of it. It is kept as a file.
"""

from __future__ import annotations

from engine.models import Image, ModelVersion
from engine.models.image import WHOLE_PHOTO
from engine.services.images import embeddings
from workers.execution.context import Effects, JobContext
from workers.inference.embed import embed


def run(context: JobContext) -> Effects:
    image = Image.objects.get(pk=context.args["image"])
    version = ModelVersion.objects.get(pk=context.args["model_version"])
    context.report(0.1, "encoding")
    close_up = context.args.get("close_up", WHOLE_PHOTO)
    data = embed(image, version=version, crop=close_up)
    return lambda: embeddings.store_embedding(
        image, encoder_sha256=version.encoder_sha256, data=data, close_up=close_up
    )
