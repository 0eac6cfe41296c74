"""`embed_image {image, model_version}`: what one encoder sees in one photo, kept as a file."""

from __future__ import annotations

from engine.models import Image, ModelVersion
from engine.services import embeddings
from workers.context import Effects, JobContext
from workers.inference.embed import embed


def run(context: JobContext) -> Effects:
    image = Image.objects.get(pk=context.args["image"])
    version = ModelVersion.objects.get(pk=context.args["model_version"])
    context.report(0.1, "encoding")
    data = embed(image, version=version)
    return lambda: embeddings.store_embedding(
        image, encoder_sha256=version.encoder_sha256, data=data
    )
