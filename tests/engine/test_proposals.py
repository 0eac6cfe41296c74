"""Machine-made masks: repeatable, replaced by newer ones, never over a person's work."""

from __future__ import annotations

import pytest

from engine.domain.policy import Policy
from engine.domain.proposals import Proposal
from engine.domain.states import MaskSource
from engine.models import Image, Mask, ModelVersion
from engine.services.masks import assignments, masks
from tests import factories
from tests.factories import square

pytestmark = pytest.mark.django_db
PREFILLED, AUTOMATIC = MaskSource.PREFILLED, MaskSource.AUTOMATIC


@pytest.fixture
def image() -> Image:
    return factories.make_image(factories.make_project())


@pytest.fixture
def version(image: Image) -> ModelVersion:
    return factories.make_version(image.project)


def propose(image: Image, *places_px: int, predicted_iou: float = 0.9) -> list[Proposal]:
    """Squares of 12 px, one at each x."""
    return [
        Proposal(rle=square(image, x_px=x_px), predicted_iou=predicted_iou, stability_score=0.97)
        for x_px in places_px
    ]


def record(
    image: Image, version: ModelVersion, proposals: list[Proposal], **options: object
) -> list[Mask]:
    return masks.record_proposals(
        image,
        source=options.get("source", PREFILLED),  # type: ignore[arg-type]
        model_version=version,
        proposals=proposals,
        idem_key=str(options.get("idem_key", "run-1")),
    )


def test_a_second_run_writes_nothing_twice(image: Image, version: ModelVersion) -> None:
    first = record(image, version, propose(image, 2, 20))

    second = record(image, version, propose(image, 2, 20))

    assert [one.pk for one in second] == [one.pk for one in first]
    assert len(first) == 2
    assert image.masks.count() == 2
    assert {one.status for one in first} == {"proposed"}
    assert {one.head.model_version for one in first} == {version}


def test_automatic_masks_are_accepted_but_not_confirmed(
    image: Image, version: ModelVersion
) -> None:
    from engine.selectors.masks import accepted_masks, confirmed_masks

    record(image, version, propose(image, 2, 20), source=AUTOMATIC)

    assert accepted_masks(image.project).count() == 2
    assert confirmed_masks(image.project).count() == 0
    masks.accept_mask(image.masks.first(), actor=image.project.created_by)
    assert confirmed_masks(image.project).count() == 1


def test_a_newer_run_replaces_what_nobody_touched(image: Image, version: ModelVersion) -> None:
    lead = image.project.created_by
    touched, untouched = record(image, version, propose(image, 2, 20))
    masks.accept_mask(touched, actor=lead)

    new = record(image, version, propose(image, 2, 33), idem_key="run-2")

    touched.refresh_from_db()
    untouched.refresh_from_db()
    assert (touched.status, untouched.status) == ("accepted", "rejected")
    assert [one.head.bbox_x_px for one in new] == [33]


def test_a_proposal_that_repeats_a_persons_mask_is_left_out(
    image: Image, version: ModelVersion
) -> None:
    assignment = assignments.lease_image(image, annotator=factories.make_user())
    drawn = factories.save(assignment, rle=square(image, x_px=3)).mask

    record(image, version, propose(image, 2, 25))

    drawn.refresh_from_db()
    assert drawn.status == "accepted"
    boxes = image.masks.filter(source="prefilled").values_list("head__bbox_x_px", flat=True)
    assert list(boxes) == [25]


def test_a_rejected_proposal_does_not_come_back(image: Image, version: ModelVersion) -> None:
    mask = record(image, version, propose(image, 2))[0]
    masks.reject_mask(mask, actor=image.project.created_by)

    assert record(image, version, propose(image, 3), idem_key="run-2") == []


def test_a_person_drawing_over_a_proposal_makes_it_a_mask(
    image: Image, version: ModelVersion
) -> None:
    proposal = record(image, version, propose(image, 2))[0]
    assignment = assignments.lease_image(image, annotator=factories.make_user())

    saved = factories.save(assignment, mask_id=proposal.pk, base_revision_id=proposal.head_id)

    assert (saved.mask.status, saved.mask.source) == ("accepted", "prefilled")
    assert saved.mask.head.author == assignment.annotator


@pytest.mark.parametrize(
    ("proposal", "why"),
    [
        ({"side_px": 3}, "9 px are fewer than 16"),
        ({"predicted_iou": 0.4}, "the model doubts it"),
        ({"stability_score": 0.5}, "its outline depends on the threshold"),
    ],
)
def test_unsound_prefills_are_not_shown(
    image: Image, version: ModelVersion, proposal: dict[str, float], why: str
) -> None:
    side_px = int(proposal.pop("side_px", 12))
    scores = {"predicted_iou": 0.9, "stability_score": 0.97, **proposal}

    made = record(image, version, [Proposal(rle=square(image, side_px=side_px), **scores)])

    assert made == [], why


def test_confirming_a_prefilled_mask_fixes_the_split_of_the_image(
    image: Image, version: ModelVersion
) -> None:
    mask = record(image, version, propose(image, 2))[0]
    assert Image.objects.get(pk=image.pk).split == ""

    masks.accept_mask(mask, actor=image.project.created_by)

    assert Image.objects.get(pk=image.pk).split == "train"


def test_an_unconfirmed_prefill_does_not_hide_an_automatic_mask(
    image: Image, version: ModelVersion
) -> None:
    record(image, version, propose(image, 2))

    made = record(image, version, propose(image, 2), source=AUTOMATIC, idem_key="auto")

    assert [one.status for one in made] == ["accepted"]


@pytest.mark.parametrize(
    ("height_px", "width_px", "least_px"),
    [(1500, 2250, 100), (6000, 4000, 100), (1125, 1500, 50), (256, 256, 16)],
    ids=["SA-1B", "larger", "half of it", "microscopy"],
)
def test_the_least_area_is_a_share_of_small_images(
    height_px: int, width_px: int, least_px: int
) -> None:
    assert Policy().min_area_of(height_px=height_px, width_px=width_px) == least_px


def test_a_lead_who_wants_tiny_masks_gets_them() -> None:
    assert Policy(min_area_px=0).min_area_of(height_px=256, width_px=256) == 0
