"""The last round: automatic masks of unlabelled images, compared with the true masks."""

from __future__ import annotations

from collections.abc import Callable

from engine.domain.states import ImageStatus, MaskSource, MaskStatus
from engine.models import Image
from engine.selectors.masks import for_image
from engine.services.masks import packed_masks
from workers.replay import labelling, oracle
from workers.replay.dataset import DatasetImage
from workers.replay.rounds import AutomaticFigures, Round, RoundPlan, Tally
from workers.replay.session import ReplaySession, serving

PAIR_IOU = 0.5
GOOD_IOU = 0.75  # where the paper's audit starts to call masks alike (section 5)


def automatic_round(
    session: ReplaySession, plan: RoundPlan, *, on_image: Callable[[], object]
) -> Round:
    """Compare the automatic masks of the unlabelled images with the true masks."""
    by_source: dict[str, AutomaticFigures] = {}
    tallies: dict[str, Tally] = {}
    for image in session.project.images.filter(status=ImageStatus.READY.value):
        dataset_image = session.dataset_images[image]
        found = _compare_automatic(image, dataset_image)
        by_source.setdefault(dataset_image.source, AutomaticFigures()).add(found)
        tallies.setdefault(dataset_image.source, Tally()).num_images += 1
        on_image()
    return Round(
        number=plan.number,
        stage=plan.stage.value,
        model_version=serving(session).number,
        by_source=tallies,
        automatic=by_source,
    )


def _compare_automatic(image: Image, dataset_image: DatasetImage) -> AutomaticFigures:
    packed_masks.unpack(image)
    made = [
        labelling.decode_mask(mask)
        for mask in for_image(image).filter(
            source=MaskSource.AUTOMATIC.value, status=MaskStatus.ACCEPTED.value
        )
    ]
    pairs = oracle.matched_pairs(made, dataset_image.truths, min_iou=PAIR_IOU)
    return AutomaticFigures(
        num_masks=len(made),
        num_truths=len(dataset_image.truths),
        num_pairs=len(pairs),
        num_good=sum(iou > GOOD_IOU for iou, _, _ in pairs),
    )
