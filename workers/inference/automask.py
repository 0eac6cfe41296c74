"""Automatic masks of a whole image, and the settings with which a version makes them.

The algorithm and its presets live in sam.automatic.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine import storage
from engine.domain.policy import DEFAULT_POLICY, Policy
from engine.domain.proposals import Proposal
from engine.models import ModelVersion
from engine.selectors.fitted_thresholds import automatic_thresholds
from sam.automatic.mask_generator import PAPER_ENGINE, AutomaticMask, AutomaticSettings, generate
from sam.automatic.recommended_settings import recommended_by, with_recommended
from sam.modeling.features import ImageFeatures
from sam.modeling.model import Sam

# The paper's filters on the whole image. Its 20 crops cost 20 more encoder passes an image, which
# the shipped model's processors would pay in minutes; a checkpoint may recommend them.
BASE_SETTINGS = replace(PAPER_ENGINE, crop_layers=0)


def settings_for(
    version: ModelVersion, *, policy: Policy, image_hw: tuple[int, int]
) -> AutomaticSettings:
    """Return the settings of a version for an image: paper, recommended, fitted, the lead's.

    A model rates its own masks, so thresholds belong to a model: the shipped model's file
    recommends some (`metadata["automatic"]`), retrained versions inherit them until an evaluation
    fits their own. A threshold that the lead changed from the default wins over all.
    """
    settings = recommended_settings(version)
    if fitted := automatic_thresholds(version):
        settings = replace(settings, pred_iou_thresh=fitted[0], stability_thresh=fitted[1])
    if policy.min_predicted_iou != DEFAULT_POLICY.min_predicted_iou:
        settings = replace(settings, pred_iou_thresh=policy.min_predicted_iou)
    if policy.min_stability_score != DEFAULT_POLICY.min_stability_score:
        settings = replace(settings, stability_thresh=policy.min_stability_score)
    return replace(
        settings,
        max_area_share=policy.max_area_fraction,
        min_region_area_px=policy.min_area_of(height_px=image_hw[0], width_px=image_hw[1]),
    )


def recommended_settings(version: ModelVersion) -> AutomaticSettings:
    """Return the paper's settings with what the version's checkpoint recommends."""
    return with_recommended(BASE_SETTINGS, _recommended(version))


def propose(
    model: Sam,
    image_hwc_u8: NDArray[np.uint8],
    *,
    features: ImageFeatures,
    settings: AutomaticSettings,
    on_progress: Callable[[float, str], None],
) -> list[Proposal]:
    """Return every automatic mask of an image, best first."""
    found = generate(model, image_hwc_u8, settings, features=features, on_progress=on_progress)
    return [_as_proposal(mask) for mask in found]


def _recommended(version: ModelVersion) -> dict[str, Any]:
    """Return what the checkpoint recommends, or the nearest ancestor's that recommends something.

    Trainings copy the recommendation; those of earlier releases did not.
    """
    ancestor: ModelVersion | None = version
    while ancestor is not None and ancestor.checkpoint_key:
        if recommended := recommended_by(storage.local_copy(ancestor.checkpoint_key)):
            return recommended
        ancestor = ancestor.parent
    return {}


def _as_proposal(mask: AutomaticMask) -> Proposal:
    x_px, y_px = mask.point_xy_px
    return Proposal(
        rle=mask.rle,
        predicted_iou=min(max(mask.predicted_iou, 0.0), 1.0),
        stability_score=mask.stability_score,
        prompts=[{"type": "point", "x_px": x_px, "y_px": y_px, "label": 1}],
    )
