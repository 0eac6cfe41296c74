"""Measuring "segment everything", and fitting what a checkpoint recommends for it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from masks.rle import Rle
from sam.automatic.mask_generator import AutomaticMask, AutomaticSettings
from sam.automatic.recommended_settings import recommended_by
from sam.checkpoints import checkpoint_files
from tests.needs import SHARED_DATA, missing
from tests.training.blobs import write_blobs
from training.__main__ import main
from training.data.manifest import open_dataset
from training.evaluation.automatic_fit import Candidates, fit_automatic
from training.evaluation.automatic_quality import (
    AutomaticQuality,
    blank_images,
    chosen_images,
    result_of,
)

STARTER = Path(__file__).parents[2] / "sam" / "starter" / "starter.safetensors"
LOOSE = ["points_per_side=4", "pred_iou_thresh=-9", "stability_thresh=0"]


def rle(x_px: int, width_px: int) -> Rle:
    mask = np.zeros((20, 100), dtype=bool)
    mask[:, x_px : x_px + width_px] = True
    return Rle.encode(mask)


def found(x_px: int, width_px: int, predicted_iou: float) -> AutomaticMask:
    one = rle(x_px, width_px)
    return AutomaticMask(
        one, predicted_iou, 0.9, (0, 0, 100, 20), (0.0, 0.0), one.bbox_xywh_px, one.area_px
    )


def test_an_image_s_figures_worked_out_by_hand() -> None:
    truths = [rle(0, 10), rle(20, 10), rle(40, 10)]
    masks = [
        found(0, 10, 0.5),  # exact
        found(0, 9, 0.9),  # surer, of the same object: the exact one finds nothing more
        found(23, 10, 0.8),  # IoU 7 / 13
        found(60, 30, 0.7),  # nothing there
    ]

    result = result_of(truths, masks, source="a", cpu_s=2.0)
    quality = AutomaticQuality(results=(result,), blank_masks={}, problems=())

    assert (result.num_found_50, result.num_found_75, result.num_doubles) == (2, 1, 1)
    figures = quality.by_source()["a"]
    assert (figures.recall_50, figures.recall_75) == pytest.approx((2 / 3, 1 / 3))
    assert (figures.precision_50, figures.doubles_per_mask) == (0.5, 0.25)


def test_the_mean_is_over_sources_not_over_images() -> None:
    good = result_of([rle(0, 10)], [found(0, 10, 0.9)], source="one", cpu_s=1.0)
    bad = result_of([rle(0, 10)], [found(50, 10, 0.9)], source="many", cpu_s=3.0)
    quality = AutomaticQuality(results=(good, bad, bad, bad), blank_masks={}, problems=())

    assert quality.macro().recall_50 == quality.macro().precision_50 == 0.5
    assert quality.macro().cpu_s_per_image == 2.0
    assert quality.macro().num_images == 4


def test_blank_images_are_the_same_every_time() -> None:
    first, again = blank_images(), blank_images()

    assert {"black", "white", "grey", "ramp", "noise 4", "noise 16", "noise 48"} == first.keys()
    assert all((first[name] == again[name]).all() for name in first)


def test_images_are_chosen_evenly_from_each_source(tmp_path: Path) -> None:
    manifest = open_dataset(write_blobs(tmp_path, num_train=6))

    chosen = chosen_images([manifest], max_images=2)

    assert [image.image_id for image in chosen] == ["blob-0", "blob-2", "blob-1", "blob-3"]
    assert len(chosen_images([manifest], sources=["odd"])) == 3


def test_evaluate_automatic_prints_figures_by_source_and_on_blank_images(
    tmp_path: Path, sam: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = write_blobs(tmp_path / "data", num_train=2)
    command = ["evaluate-automatic", "--checkpoint", str(sam), "--data", str(manifest)]

    assert main([*command, "--json", str(tmp_path / "q.json"), "--settings", *LOOSE]) == 0

    out = capsys.readouterr().out
    for word in ("even", "odd", "mean over sources", "lower bound", "noise 48"):
        assert word in out
    figures = json.loads((tmp_path / "q.json").read_text())
    assert figures["settings"]["points_per_side"] == 4
    assert len(figures["images"]) == 2
    assert figures["macro"]["masks_per_image"] > 0


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        (["--settings", "colour=red"], "'colour=red' is not NAME=VALUE"),
        (["--settings", "crop_layers=some"], "'some' is no number"),
        (["--settings", "full_votes=3"], "votes are counted with the adaptive grid only"),
        (["--source", "clouds"], "there is no source clouds; there are: even"),
        (["--quality", "200"], "between 0 and 100"),
        (["--max-images", "0"], "--max-images is at least 1"),
    ],
)
def test_what_cannot_be_measured_is_told_in_one_line(
    tmp_path: Path, sam: Path, capsys: pytest.CaptureFixture[str], more: list[str], reason: str
) -> None:
    manifest = write_blobs(tmp_path / "data", num_train=1)

    assert (
        main(["evaluate-automatic", "--checkpoint", str(sam), "--data", str(manifest), *more]) == 2
    )

    [line] = capsys.readouterr().err.splitlines()
    assert reason in line


def candidates(source: str, rows: list[tuple[float, int, int]], *, num_truths: int) -> Candidates:
    """Rows: predicted IoU, votes, and which object it is of, -1 for none."""
    with_truth = np.zeros((len(rows), num_truths))
    between = np.eye(len(rows))
    for row, (_, _, truth) in enumerate(rows):
        if truth >= 0:
            with_truth[row, truth] = 0.8
        for other, (_, _, its) in enumerate(rows):
            if other != row and truth >= 0 and truth == its:
                between[row, other] = 0.65
    return Candidates(
        source,
        np.array([row[0] for row in rows]),
        np.full(len(rows), 0.9),
        np.array([row[1] for row in rows]),
        between,
        with_truth,
    )


def test_votes_and_thresholds_are_fitted_to_the_wanted_precision() -> None:
    objects = [(0.6, 8, i) for i in range(12)]
    doubles = [(0.55, 8, i) for i in range(12)]
    plots = [(0.45, 1, -1)] * 40
    image = candidates("a", [*objects, *doubles, *plots], num_truths=12)

    fitted = fit_automatic([image], AutomaticSettings(), min_precision=0.9)

    assert fitted is not None
    assert fitted.recall == 1.0
    assert fitted.precision >= 0.9
    settings = fitted.settings
    assert settings.adaptive_grid
    assert settings.full_votes >= 2
    assert settings.mask_nms_iou_thresh is not None
    assert settings.mask_nms_iou_thresh < 0.65
    assert (settings.nms_iou_thresh, settings.min_contrast_levels) == (1.0, 6.0)


def test_every_source_counts_alike_however_many_objects_it_has() -> None:
    grains = candidates("grains", [(0.9, 5, i) for i in range(300)], num_truths=300)
    images = candidates(
        "images",
        [(0.5, 5, i) for i in range(10)] + [(0.4, 5, -1)] * 90,
        num_truths=10,
    )

    fitted = fit_automatic([grains, images], AutomaticSettings(), min_precision=0.9)

    assert fitted is not None
    assert fitted.settings.pred_iou_thresh == 0.5, "half of all sources' precision is the images'"
    assert (fitted.recall, fitted.precision) == (1.0, 1.0)


def test_a_precision_out_of_reach_gives_the_best_compromise() -> None:
    rows = [(0.5, 5, i) for i in range(10)] + [(0.5, 5, -1)] * 10
    image = candidates("a", rows, num_truths=10)

    fitted = fit_automatic([image], AutomaticSettings(), min_precision=0.9)

    assert fitted is not None
    assert (fitted.recall, fitted.precision) == (1.0, 0.5)
    assert (
        fit_automatic([candidates("a", [], num_truths=20)], AutomaticSettings(), min_precision=0.5)
        is None
    )


def test_fit_automatic_writes_the_advice_into_a_copy_of_the_checkpoint(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = write_blobs(tmp_path / "data", num_train=4)
    small, out = tmp_path / "small.safetensors", tmp_path / "fitted.safetensors"
    model = checkpoint_files.load(STARTER, image_size_px=256)  # a quarter of the work
    checkpoint_files.save(model, small, {"licence": "CC0"})
    command = ["fit-automatic", "--checkpoint", str(small), "--data", str(manifest)]
    quick = ["--settings", "points_per_side=8"]

    assert main([*command, "--min-precision", "0.3", "--out", str(out), *quick]) == 0

    assert "on 4 images with 12 objects" in capsys.readouterr().out
    advice = recommended_by(out)
    assert advice["adaptive_grid"] is True
    assert advice["points_per_side"] == 8
    assert 0.2 <= advice["pred_iou_thresh"] < 0.9
    assert checkpoint_files.read_header(out).metadata["licence"] == "CC0"
    few = write_blobs(tmp_path / "few", num_train=1)
    command[4] = str(few)
    assert main([*command, "--out", str(tmp_path / "no"), *quick]) == 2
    assert "too few objects" in capsys.readouterr().err
    assert not (tmp_path / "no").exists()


def test_images_are_measured_with_what_the_shipped_starter_recommends(
    capsys: pytest.CaptureFixture[str],
) -> None:
    data = SHARED_DATA / "tabletop-train"
    if not data.is_dir():
        missing("no labelled images")
    command = ["evaluate-automatic", "--checkpoint", str(STARTER), "--data", str(data)]

    assert main([*command, "--max-images", "1", "--no-blank"]) == 0

    assert "tabletop" in capsys.readouterr().out
