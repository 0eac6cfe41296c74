"""`embed_image {image, model_version, crop?}`: the features of an image, or of a crop of it.

Or in a crop of it. It is kept as a file.
"""

from __future__ import annotations

from engine.models import Image, ModelVersion
from engine.models.image import WHOLE_IMAGE
from engine.services.images import embeddings
from workers.execution.context import Effects, JobContext
from workers.inference.embed import embed


def run(context: JobContext) -> Effects:
    image = Image.objects.get(pk=context.args["image"])
    version = ModelVersion.objects.get(pk=context.args["model_version"])
    context.report(0.1, "encoding")
    crop = context.args.get("crop", WHOLE_IMAGE)
    data = embed(image, version=version, crop=crop)
    return lambda: embeddings.store_embedding(
        image, encoder_sha256=version.encoder_sha256, data=data, crop=crop
    )
