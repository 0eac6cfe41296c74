"""`automask_image {image, stage}`: every confident mask of the serving model on a whole image."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from engine.domain.states import MaskSource, ModelFamily
from engine.models import EngineStage, Image
from engine.selectors.stages import stage_policy
from engine.services.images import embeddings
from engine.services.masks import masks
from workers.execution.context import Effects, JobContext
from workers.inference.automask import propose, settings_for
from workers.inference.embed import features_of, read_image_rgb
from workers.inference.registry import sam_of, serving


def run(context: JobContext) -> Effects:
    image = Image.objects.get(pk=context.args["image"])
    stage = EngineStage.objects.get(pk=context.args["stage"])
    version = serving(context.project, family=ModelFamily.SAM)
    settings = settings_for(
        version,
        policy=stage_policy(stage),
        image_hw=(image.height_px, image.width_px),
    )
    features, new_embedding = features_of(image, version=version)
    proposals = propose(
        sam_of(version),
        read_image_rgb(image),
        features=features,
        settings=settings,
        on_progress=context.checkpoint,
    )

    def effects() -> dict[str, Any]:
        if new_embedding is not None:
            embeddings.store_embedding(
                image, encoder_sha256=version.encoder_sha256, data=new_embedding
            )
        recorded = masks.record_proposals(
            image,
            source=MaskSource.AUTOMATIC,
            model_version=version,
            proposals=proposals,
            idem_key=f"automask:{image.pk}:{stage.pk}:{version.pk}",
        )
        return {
            "model_version": str(version.pk),
            "settings": asdict(settings),
            "num_proposals": len(proposals),
            "num_masks": len(recorded),
        }

    return effects
