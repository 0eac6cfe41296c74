"""`embed_project {model_version}`: queue the images without an embedding, and wait for them."""

from __future__ import annotations

from engine.models import Job
from engine.services.images import embeddings
from workers.execution.context import Effects, JobContext


def run(context: JobContext) -> Effects:
    return lambda: {"num_images": embeddings.request_parts(Job.objects.get(pk=context.job.id))}
