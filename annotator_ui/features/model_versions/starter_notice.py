"""What a lead reads when the installation ships another starter than the project has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from annotator_ui.progress import duration
from engine.models import Project
from engine.selectors.starter import StarterOffer, offer_for
from engine.services.models.starters import Upgrade


@dataclass(frozen=True, slots=True, kw_only=True)
class StarterNotice:
    """`waits_for`: why there is no button just now; empty when there is one."""

    title: str
    sentences: Sequence[str]
    waits_for: str


def starter_notice(project: Project) -> StarterNotice | None:
    """Say what the upgrade would do; None when none is on offer."""
    offer = offer_for(project)
    if offer is None:
        return None
    found = [_replaces(offer), _decides(offer), _encodes(offer), _way_back(offer)]
    return StarterNotice(
        title="A newer starter model ships with this version of Segloop.",
        sentences=[sentence for sentence in found if sentence],
        waits_for=f"{offer.in_work}: upgrade when that is over" if offer.in_work else "",
    )


def told(upgrade: Upgrade) -> str:
    """Say in one sentence what pressing the button came to."""
    version = upgrade.version
    if version.status == "serving":
        return (
            f"SAM v{version.number}, the shipped starter, serves now. "
            "Images are encoded anew in the background."
        )
    if upgrade.job is not None:
        return (
            f"SAM v{version.number}, the shipped starter, is measured on the held-out images. "
            "It serves if it is not worse."
        )
    return f"The shipped starter is SAM v{version.number} of this project, {version.status}."


def _replaces(offer: StarterOffer) -> str:
    serving = offer.serving
    if serving is None:
        return "No segmentation model serves this project yet."
    if not offer.loses_training:
        return f"This project stays with SAM v{serving.number} until you upgrade."
    return (
        f"SAM v{serving.number} was retrained on this project's masks, and that training is not "
        "in the new starter: if you upgrade, retrain afterwards."
    )


def _decides(offer: StarterOffer) -> str:
    if not offer.is_measured_first:
        return "Without held-out masks to measure it on, it serves at once."
    if offer.serving is None:
        return "It is measured on the held-out images first."
    return (
        f"It is measured beside v{offer.serving.number} on the held-out images first and serves "
        "if it is not worse; else you read why and decide."
    )


def _encodes(offer: StarterOffer) -> str:
    if not offer.num_to_encode:
        return ""
    about = f", about {duration(offer.encode_s)}" if offer.encode_s is not None else ""
    images = "1 image is" if offer.num_to_encode == 1 else f"{offer.num_to_encode} images are"
    return f"Then {images} encoded anew in the background{about}; people go on labelling meanwhile."


def _way_back(offer: StarterOffer) -> str:
    return f"You can roll back to v{offer.serving.number} at any time." if offer.serving else ""
