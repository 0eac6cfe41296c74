"""Thresholds of a version's own masks: fitted on held-out images, used by its jobs."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from engine.domain.policy import Policy
from engine.domain.states import ModelFamily, ModelVersionStatus
from engine.models import ModelVersion
from engine.selectors.fitted_thresholds import AUTOMATIC, prefill_entry, prefill_policy
from engine.services.models import model_versions
from sam.checkpoints import checkpoint_files
from sam.detection import object_detector
from tests import factories
from tests.loop.coco_discs import write_discs
from training.data.manifest import ImageRecord, from_coco
from training.detector.thresholds import Fitted
from workers.inference.automask import BASE_SETTINGS, settings_for
from workers.inference.thresholds import fit_automatic, fit_prefill

DETECTOR = ModelFamily.OBJECT_DETECTOR
RETIRED = ModelVersionStatus.RETIRED
FITTED = Fitted(predicted_iou=0.31, stability_score=0.62, precision=0.9, recall=0.8, num_truths=40)


@pytest.fixture
def discs(tmp_path: Path) -> tuple[ImageRecord, ...]:
    return from_coco(write_discs(tmp_path / "discs", num_images=4)).images


@pytest.fixture
def sam() -> ModelVersion:
    return factories.make_version(factories.make_project())


@pytest.mark.parametrize(
    "recommended",
    [{}, {"adaptive_grid": True, "full_votes": 2, "mask_nms_iou_thresh": 0.5}],
    ids=["every point in full", "adaptive grid with votes"],
)
def test_a_models_automatic_thresholds_are_fitted_on_what_it_finds(
    tiny_starter_dir: Path, discs: tuple[ImageRecord, ...], recommended: dict[str, Any]
) -> None:
    model = checkpoint_files.load(tiny_starter_dir / "starter.safetensors")
    reported: list[tuple[int, int]] = []

    fitted = fit_automatic(
        model,
        discs,
        settings=replace(BASE_SETTINGS, points_per_side=12, min_region_area_px=100, **recommended),
        on_image=lambda done, total: reported.append((done, total)),
    )

    assert list(dict.fromkeys(reported)) == [(0, 4), (1, 4), (2, 4), (3, 4), (4, 4)]
    assert len(reported) > 5, "an image may take minutes: progress is reported meanwhile"
    assert fitted is not None, "a model trained on discs finds discs"
    assert fitted.num_truths == 16
    assert fitted.predicted_iou < BASE_SETTINGS.pred_iou_thresh
    assert 0 < fitted.recall <= 1
    assert 0 < fitted.precision <= 1


def test_prefill_thresholds_are_fitted_on_what_the_boxes_bring(
    tiny_starter_dir: Path, discs: tuple[ImageRecord, ...]
) -> None:
    model = checkpoint_files.load(tiny_starter_dir / "starter.safetensors")
    detector = object_detector.load(tiny_starter_dir / "detector.safetensors")

    reported: list[tuple[int, int]] = []

    fitted = fit_prefill(
        model, detector, discs, on_image=lambda done, total: reported.append((done, total))
    )

    assert list(dict.fromkeys(reported)) == [(0, 4), (1, 4), (2, 4), (3, 4), (4, 4)]
    assert len(reported) > 5, "an image may take minutes: progress is reported meanwhile"
    assert fitted is not None, "boxes everywhere bring some discs"
    assert fitted.num_truths == 16


@pytest.mark.django_db
def test_automatic_masks_use_what_was_fitted_unless_the_lead_changed_it(
    sam: ModelVersion,
) -> None:
    sam.checkpoint_key = ""
    model_versions.note_thresholds(sam, {AUTOMATIC: asdict(FITTED)})

    fitted = settings_for(sam, policy=Policy(), image_hw=(256, 256))
    changed = settings_for(sam, policy=Policy(min_predicted_iou=0.7), image_hw=(1500, 2250))

    assert (fitted.pred_iou_thresh, fitted.stability_thresh) == (0.31, 0.62)
    assert (changed.pred_iou_thresh, changed.stability_thresh) == (0.7, 0.62)
    assert (fitted.min_region_area_px, changed.min_region_area_px) == (16, 100)


@pytest.mark.django_db
def test_prefilled_masks_use_what_was_fitted_for_this_pair_alone(sam: ModelVersion) -> None:
    detector = factories.make_version(sam.project, family=DETECTOR)
    other = factories.make_version(sam.project, family=DETECTOR, status=RETIRED)
    assert prefill_policy(Policy(), sam=sam, detector=detector) == Policy()

    model_versions.note_thresholds(detector, prefill_entry(detector, sam, asdict(FITTED)))

    fitted = prefill_policy(Policy(), sam=sam, detector=detector)
    assert (fitted.prefill_min_predicted_iou, fitted.prefill_min_stability_score) == (0.31, 0.62)
    assert prefill_policy(Policy(), sam=sam, detector=other) == Policy()
    changed = Policy(prefill_min_stability_score=0.9)
    assert prefill_policy(changed, sam=sam, detector=detector) == replace(
        changed, prefill_min_predicted_iou=0.31
    )


@pytest.mark.django_db
def test_what_was_fitted_for_one_pair_stays_when_another_is_noted(sam: ModelVersion) -> None:
    first = factories.make_version(sam.project, family=DETECTOR)
    second = factories.make_version(sam.project, family=DETECTOR, status=RETIRED)

    for detector in (first, second):
        model_versions.note_thresholds(sam, prefill_entry(sam, detector, asdict(FITTED)))
    model_versions.note_thresholds(sam, {AUTOMATIC: asdict(FITTED)})

    assert set(sam.thresholds["prefill"]) == {str(first.pk), str(second.pk)}
    assert sam.thresholds["automatic"]["num_truths"] == 40
    for detector in (first, second):
        policy = prefill_policy(Policy(), sam=sam, detector=detector)
        assert policy.prefill_min_predicted_iou == 0.31
