"""`prelabel_image {image, stage}`: prefill a photo with the detector's objects."""

from __future__ import annotations

from typing import Any

from engine.domain.errors import Conflict
from engine.domain.states import MaskSource, ModelFamily
from engine.models import Image
from engine.services import embeddings, masks
from workers.context import Effects, JobContext
from workers.inference.embed import features_of
from workers.inference.prelabel import propose
from workers.inference.registry import detector_of, sam_of, serving


def run(context: JobContext) -> Effects:
    image = Image.objects.get(pk=context.args["image"])
    version = serving(context.project, family=ModelFamily.SAM)
    detector = serving(context.project, family=ModelFamily.OBJECT_DETECTOR)
    if detector.encoder_sha256 != version.encoder_sha256:
        raise Conflict("the serving detector was made for another encoder; retrain it first")
    features, new_embedding = features_of(image, version=version)
    context.checkpoint(0.4, "detecting objects")
    proposals = propose(
        sam_of(version),
        detector_of(detector),
        features=features,
        image_hw=(image.height_px, image.width_px),
    )
    stage_id = context.args["stage"]

    def effects() -> dict[str, Any]:
        if new_embedding is not None:
            embeddings.store_embedding(
                image, encoder_sha256=version.encoder_sha256, data=new_embedding
            )
        recorded = masks.record_proposals(
            image,
            source=MaskSource.PREFILLED,
            model_version=version,
            proposals=proposals,
            idem_key=f"prelabel:{image.pk}:{stage_id}:{version.pk}:{detector.pk}",
        )
        return {
            "model_version": str(version.pk),
            "detector": str(detector.pk),
            "num_proposals": len(proposals),
            "num_masks": len(recorded),
        }

    return effects
