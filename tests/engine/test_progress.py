"""Figures are counted from the masks; worked out by hand here."""

from __future__ import annotations

import pytest

from engine.domain.proposals import Proposal
from engine.domain.states import MaskSource
from engine.selectors.progress import project_figures
from engine.services.masks import assignments, masks
from tests import factories
from tests.factories import click, save, square

pytestmark = pytest.mark.django_db


def test_figures_of_a_project_are_right() -> None:
    project = factories.make_project()
    version = factories.make_version(project)
    first, second = factories.make_image(project), factories.make_image(project)
    ann = factories.make_user()
    held = assignments.lease_image(first, annotator=ann)
    with_model = {"model_version_id": version.pk}
    drawn = save(held, annotate_ms=10_000, prompts=[click(), click(label=0)], **with_model)
    save(  # an edit of the same mask: 4 s and one click more
        held,
        mask_id=drawn.mask.pk,
        base_revision_id=drawn.revision.pk,
        rle=square(first, side_px=7),
        annotate_ms=4_000,
        **with_model,
    )
    by_hand = [{"type": "brush", "size_px": 9, "strokes": 3}]
    save(held, rle=square(first, x_px=30), annotate_ms=30_000, prompts=by_hand)
    assignments.submit(held, actor=ann)
    masks.record_proposals(
        second,
        source=MaskSource.AUTOMATIC,
        model_version=version,
        proposals=[Proposal(rle=square(second), predicted_iou=0.9)],
        idem_key="auto",
    )

    page = project_figures(project)

    figures = page.figures
    assert (figures.num_images, figures.num_images_done) == (2, 1)
    assert (figures.num_masks, figures.num_human_masks, figures.num_automatic_masks) == (3, 2, 1)
    assert figures.masks_per_image == 1.5
    assert figures.seconds_per_mask == (10 + 4 + 30) / 2
    assert figures.clicks_per_mask == (2 + 1 + 0) / 2
    without, with_version = figures.by_model_version
    assert (without.number, without.seconds_per_mask, without.clicks_per_mask) == (None, 30, 0)
    assert (with_version.number, with_version.seconds_per_mask) == (1, 14)
    assert with_version.clicks_per_mask == 3
    assert page.stages[0].figures == figures
    assert "2 of 8 confirmed masks are there" in page.exit_blockers


def test_a_project_without_masks_has_no_averages() -> None:
    figures = project_figures(factories.make_project()).figures

    assert figures.num_masks == 0
    assert figures.masks_per_image is None
    assert figures.seconds_per_mask is None
