"""`suggest_masks {image, stage}`: masks that the serving model finds, published band by band.

An annotator waits for the first suggestions, not for the last: each band of the grid is stored as
soon as it is computed. A second attempt computes the same bands and stores nothing twice.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

from engine.domain.states import MaskSource, MaskStatus, ModelFamily
from engine.models import EngineStage, Image
from engine.selectors.stages import stage_policy
from engine.services.images import embeddings
from engine.services.masks import masks
from workers.execution.context import Effects, JobContext
from workers.inference.automask import propose, settings_for
from workers.inference.embed import features_of, read_image_rgb
from workers.inference.registry import sam_of, serving

NUM_BANDS = 8
MAX_POINTS_PER_SIDE = 16
"""A quarter of the automatic grid: somebody is watching, and clicks find what it misses."""


def run(context: JobContext) -> Effects:
    image = Image.objects.get(pk=context.args["image"])
    stage = EngineStage.objects.get(pk=context.args["stage"])
    version = serving(context.project, family=ModelFamily.SAM)
    settings = settings_for(
        version,
        policy=stage_policy(stage),
        image_hw=(image.height_px, image.width_px),
    )
    points_per_side = min(settings.points_per_side, MAX_POINTS_PER_SIDE)
    features, new_embedding = features_of(image, version=version)
    pixels = read_image_rgb(image)
    num_masks = 0

    def report(band: int, fraction: float, text: str) -> None:
        context.checkpoint((band + fraction) / NUM_BANDS, f"{num_masks} found")

    for band in range(NUM_BANDS):
        proposals = propose(
            sam_of(version),
            pixels,
            features=features,
            settings=replace(settings, points_per_side=points_per_side, band=(band, NUM_BANDS)),
            on_progress=partial(report, band),
        )
        num_masks += len(proposals)
        context.publish(
            partial(
                masks.record_proposals,
                image,
                source=MaskSource.AUTOMATIC,
                status=MaskStatus.PROPOSED,
                model_version=version,
                proposals=proposals,
                idem_key=f"suggest:{image.pk}:{stage.pk}:{version.pk}:{band}",
                replace=band == 0,
            )
        )

    def effects() -> dict[str, Any]:
        if new_embedding is not None:
            embeddings.store_embedding(
                image, encoder_sha256=version.encoder_sha256, data=new_embedding
            )
        return {"model_version": str(version.pk), "num_proposals": num_masks}

    return effects
