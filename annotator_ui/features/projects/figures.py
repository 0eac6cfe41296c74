"""The figures of a project in words, with the test ids a browser test finds them by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from annotator_ui.wording import decimal
from engine.selectors.progress import Figures


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    label: str
    value: str
    testid: str
    sub: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CostRow:
    """What people needed for a mask with one model."""

    model: str
    num_masks: int
    seconds_per_mask: str
    clicks_per_mask: str


def project_tiles(figures: Figures) -> Sequence[Figure]:
    """The row of large figures of a whole project."""
    by_source = (
        (figures.num_human_masks, "by people"),
        (figures.num_prefilled_masks, "prefilled"),
        (figures.num_automatic_masks, "automatic"),
        (figures.num_imported_masks, "imported"),
    )
    sources = ", ".join(f"{number} {origin}" for number, origin in by_source if number)
    return [
        Figure(
            label="Images",
            value=str(figures.num_images),
            sub=f"{figures.num_images_done} done",
            testid="figure-images",
        ),
        Figure(
            label="Accepted masks", value=str(figures.num_masks), sub=sources, testid="figure-masks"
        ),
        Figure(
            label="Proposals to check",
            value=str(figures.num_proposed_masks),
            testid="figure-proposals",
        ),
        Figure(
            label="Seconds per mask",
            value=decimal(figures.seconds_per_mask, 1),
            testid="figure-seconds-per-mask",
        ),
        Figure(
            label="Clicks per mask",
            value=decimal(figures.clicks_per_mask, 1),
            testid="figure-clicks-per-mask",
        ),
    ]


def stage_list(figures: Figures) -> Sequence[Figure]:
    """The short list of figures of one stage."""
    return [
        Figure(
            label="Images with masks",
            value=f"{figures.num_images_with_masks} of {figures.num_images}",
            testid="stage-images",
        ),
        Figure(label="Masks", value=str(figures.num_masks), testid="stage-masks"),
        Figure(
            label="Masks per image",
            value=decimal(figures.masks_per_image, 1),
            testid="stage-masks-per-image",
        ),
        Figure(
            label="Seconds per mask",
            value=decimal(figures.seconds_per_mask, 1),
            testid="stage-seconds-per-mask",
        ),
        Figure(
            label="Clicks per mask",
            value=decimal(figures.clicks_per_mask, 1),
            testid="stage-clicks-per-mask",
        ),
    ]


def cost_rows(figures: Figures) -> Sequence[CostRow]:
    """One row a model version that people worked with."""
    return [
        CostRow(
            model="without a model" if one.number is None else f"SAM v{one.number}",
            num_masks=one.num_masks,
            seconds_per_mask=decimal(one.seconds_per_mask, 1),
            clicks_per_mask=decimal(one.clicks_per_mask, 1),
        )
        for one in figures.by_model_version
    ]
