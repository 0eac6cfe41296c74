"""`prelabel_image {image, stage}`: propose masks of the objects that the detector finds."""

from __future__ import annotations

from typing import Any

from engine.domain.errors import Conflict
from engine.domain.states import MaskSource, ModelFamily
from engine.models import EngineStage, Image
from engine.selectors.fitted_thresholds import prefill_policy
from engine.selectors.stages import stage_policy
from engine.services.images import embeddings
from engine.services.masks import masks
from workers.execution.context import Effects, JobContext
from workers.inference.embed import features_of, read_image_rgb
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

    def on_crop(num_crops: int) -> None:
        if num_crops > 1:  # a large encoder takes minutes for all of them
            context.checkpoint(0.4, f"detecting objects, {num_crops} parts of the image processed")

    proposals = propose(
        sam_of(version),
        detector_of(detector),
        features=features,
        image_hw=(image.height_px, image.width_px),
        load_image=lambda: read_image_rgb(image),
        on_crop=on_crop,
    )
    stage = EngineStage.objects.get(pk=context.args["stage"])
    policy = prefill_policy(stage_policy(stage), sam=version, detector=detector)

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
            policy=policy,
            idem_key=f"prelabel:{image.pk}:{stage.pk}:{version.pk}:{detector.pk}",
        )
        return {
            "model_version": str(version.pk),
            "detector": str(detector.pk),
            "min_predicted_iou": policy.prefill_min_predicted_iou,
            "min_stability_score": policy.prefill_min_stability_score,
            "num_proposals": len(proposals),
            "num_masks": len(recorded),
        }

    return effects
