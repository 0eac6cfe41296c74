"""The starter's recipe: it learns, survives a restart, and ends with the judges alone."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sam.checkpoints import checkpoint_files
from sam.checkpoints.checkpoint_files import CheckpointError
from sam.modeling.click_maps import ClickMaps
from sam.modeling.features import ImageFeatures
from sam.modeling.model import Sam, build
from sam.modeling.presets import PRESETS
from sam.prompts import Prompts
from tests.training.squares import squares_pool
from training.starter import batches as starter_batches
from training.starter.batches import Batches, ViewBatch, batches, first_masks
from training.starter.data import Pool, ViewSettings, draw_batch
from training.starter.dense import dense_loss, limited
from training.starter.new_maps import ELLIPSE_LOGITS
from training.starter.recipe import EXPORT_NAME, JUDGES, STATE_NAME, StarterConfig, train_worker
from training.starter.start import started
from training.starter.views import View


@pytest.fixture
def pool(tmp_path: Path) -> Pool:
    return squares_pool(tmp_path)


def brief(seconds: float, **changes: float | Path) -> StarterConfig:
    return StarterConfig(
        hours=seconds / 3600,
        views=ViewSettings(size_px=64, batch_images=2, max_masks=2),
        save_every_steps=1,
        log_every_steps=1,
        **changes,  # type: ignore[arg-type]
    )


def lines(out: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]


def test_photos_and_scenes_are_drawn_by_their_share(pool: Pool) -> None:
    rng = np.random.default_rng(0)

    darkest = [int(pool.draw(rng, photo_share=0.25).image_hwc_u8.min()) for _ in range(200)]

    num_photos = sum(value > 40 for value in darkest)
    # 200 draws with probability 1/4: 50, standard deviation 6
    assert abs(num_photos - 50) < 30


def test_a_batch_repeats_with_its_seed(pool: Pool) -> None:
    settings = ViewSettings(size_px=64, batch_images=3)

    first = draw_batch(pool, settings, rng=np.random.default_rng(1))
    again = draw_batch(pool, settings, rng=np.random.default_rng(1))

    assert len(first) == 3
    for one, other in zip(first, again, strict=True):
        assert np.array_equal(one.image_hwc_u8, other.image_hwc_u8)
        assert np.array_equal(one.masks_nhw, other.masks_nhw)


def test_a_step_s_masks_know_their_views(pool: Pool) -> None:
    settings = ViewSettings(size_px=64, batch_images=3)
    views = draw_batch(pool, settings, rng=np.random.default_rng(1))
    doubled = replace(views[1], masks_nhw=np.repeat(views[1].masks_nhw, 3, axis=0))

    batch = ViewBatch.of(build("tiny"), [views[0], doubled, views[2]])

    assert batch.images_b3ss.shape[0] == 3
    assert batch.view_of_mask.tolist() == [0, 1, 1, 1, 2]
    chosen = first_masks(batch, views=torch.tensor([False, True, True]), most=2)
    assert chosen.tolist() == [1, 2, 4]


@pytest.mark.filterwarnings("ignore:This DataLoader will create")  # on a single core
def test_views_are_the_same_for_the_same_loaders_and_seed(pool: Pool) -> None:
    model = build("tiny", seed=0)
    settings = ViewSettings(size_px=128, batch_images=2)

    def first_two() -> list[ViewBatch]:
        stream = batches(Batches(model, pool, settings, seed=(4, 0, 0)), loaders=2)
        return [next(stream), next(stream)]

    once, again = first_two(), first_two()

    for one, other in zip(once, again, strict=True):
        assert torch.equal(one.images_b3ss, other.images_b3ss)
        assert torch.equal(one.masks_nss, other.masks_nss)
    assert not torch.equal(once[0].images_b3ss, once[1].images_b3ss)  # two loaders, two streams


def test_candidates_learn_which_of_two_equal_squares_was_clicked() -> None:
    """Both squares have the same features; only the place tells them apart."""
    torch.manual_seed(0)
    maps = ClickMaps(embed_channels=8, high_res_channels=8, image_size_px=64)
    masks = torch.zeros(2, 64, 64, dtype=torch.bool)
    masks[0, 8:24, 8:24] = True
    masks[1, 40:56, 40:56] = True
    high_res = torch.zeros(1, 8, 16, 16)
    high_res[0, 0] = masks.any(0).float()[::4, ::4]
    features = ImageFeatures(torch.zeros(1, 8, 4, 4), high_res)
    optimizer = torch.optim.AdamW(maps.parameters(), lr=3e-3)
    generator = torch.Generator().manual_seed(0)

    for _ in range(150):
        result = dense_loss(maps, features, masks, generator=generator)
        optimizer.zero_grad()
        result.loss.backward()
        optimizer.step()

    assert result.click_iou > 0.8
    assert result.box_iou > 0.8


def test_limited_logits_keep_a_slope_beyond_the_bound() -> None:
    logits = torch.tensor([-100.0, -8.0, 3.0, 108.0], requires_grad=True)

    out = limited(logits)
    out.sum().backward()

    # beyond 8: 8 + 0.03 * the rest
    assert out.tolist() == pytest.approx([-8 - 0.03 * 92, -8, 3, 8 + 0.03 * 100])
    assert logits.grad.tolist() == pytest.approx([0.03, 1.0, 1.0, 0.03])


def test_a_run_that_was_cut_off_goes_on_where_it_was(pool: Pool, tmp_path: Path) -> None:
    out = tmp_path / "run"
    out.mkdir()
    train_worker(0, 1, pool, brief(0.2, dense_share=1.0), out, "")
    before = torch.load(out / STATE_NAME, weights_only=True)

    longer = brief(before["elapsed_s"] + 0.5, dense_share=0.5, calibration_share=0.0)
    train_worker(0, 1, pool, longer, out, "")

    after = torch.load(out / STATE_NAME, weights_only=True)
    assert after["step"] > before["step"]
    assert after["elapsed_s"] > before["elapsed_s"]
    steps = [line["step"] for line in lines(out)]
    assert steps == sorted(set(steps))


def test_a_run_begins_with_the_weights_it_is_given(pool: Pool, tmp_path: Path) -> None:
    start = tmp_path / "start.safetensors"
    given = build("starter", seed=5)
    checkpoint_files.save(given, start, {"automatic": {"pred_iou_thresh": 0.4}})
    out = tmp_path / "run"
    out.mkdir()

    still = brief(0.01, learning_rate=0.0, judge_learning_rate=0.0, start=start, dense_share=0.0)
    train_worker(0, 1, pool, still, out, "")

    learnt = dict(torch.load(out / STATE_NAME, weights_only=True)["model"])
    assert all(torch.equal(learnt[name], parameter) for name, parameter in given.named_parameters())
    served = checkpoint_files.load(out / EXPORT_NAME)
    assert served.config == PRESETS["starter"]  # trained at 64 px, served at its own size
    header = checkpoint_files.read_header(out / EXPORT_NAME)
    assert header.metadata["automatic"] == {"pred_iou_thresh": 0.4}
    assert header.metadata["step"] >= 1


def test_a_pause_is_no_part_of_the_schedule(
    pool: Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow_batch(*args: Any, **options: Any) -> list[View]:
        time.sleep(1.0)
        return draw_batch(*args, **options)

    monkeypatch.setattr(starter_batches, "draw_batch", slow_batch)
    out = tmp_path / "run"
    out.mkdir()

    train_worker(0, 1, pool, brief(1.0, dense_share=1.0, calibration_share=0.0), out, "")

    rows = lines(out)
    slept_s = 1.0 * len(rows)
    assert rows[-1]["hours"] * 3600 < sum(row["step_s"] for row in rows) - 0.6 * slept_s


def test_the_last_phase_moves_nothing_but_the_judges(pool: Pool, tmp_path: Path) -> None:
    out = tmp_path / "run"
    out.mkdir()
    train_worker(0, 1, pool, brief(0.1, dense_share=1.0), out, "")
    before = torch.load(out / STATE_NAME, weights_only=True)

    longer = brief(before["elapsed_s"] + 3.0, dense_share=0.0, calibration_share=1.0)
    train_worker(0, 1, pool, longer, out, "")

    after = torch.load(out / STATE_NAME, weights_only=True)
    assert after["step"] > before["step"]
    changed = {
        name
        for name, tensor in after["model"].items()
        if not torch.equal(tensor, before["model"][name])
    }
    assert changed
    assert all(name.startswith(JUDGES) for name in changed)


@torch.no_grad()
def test_a_start_without_the_oval_answers_clicks_as_before_and_boxes_with_a_guess() -> None:
    wanted = PRESETS["tiny"]
    known = replace(wanted, decoder=replace(wanted.decoder, prompt_maps=("nearness", "candidates")))
    grown = replace(
        wanted, decoder=replace(wanted.decoder, prompt_maps=("nearness", "candidates", "oval"))
    )
    torch.manual_seed(3)
    start = Sam(known).eval()

    model = started(start, grown, trunk=None).eval()

    features = start.encode(torch.rand(1, 3, 128, 128))
    click = Prompts.make(torch.tensor([[[40.0, 60.0]]]), torch.tensor([[1]]))
    before, after = start.decode(features, click), model.decode(features, click)
    assert torch.allclose(before.low_res_logits, after.low_res_logits, atol=1e-5)
    assert torch.allclose(before.predicted_iou, after.predicted_iou, atol=1e-5)
    box = Prompts.make(boxes=torch.tensor([[30.0, 30.0, 98.0, 98.0]]))
    gained = model.decode(features, box).low_res_logits - start.decode(features, box).low_res_logits
    # the middle of the box, (64, 64), is a corner of cells: the nearest centre is 2 px off each way
    assert gained[0, 0, 16, 16].item() == pytest.approx(ELLIPSE_LOGITS * (1 - 2 * (2 / 34) ** 2))
    assert gained[0, 1:].abs().max() < 1e-5


def test_a_start_of_another_shape_is_refused() -> None:
    with pytest.raises(CheckpointError, match="which do not begin"):
        started(build("tiny"), PRESETS["starter"], trunk=None)
    with pytest.raises(CheckpointError, match="is no tiny"):
        started(
            Sam(replace(PRESETS["tiny"], decoder=replace(PRESETS["tiny"].decoder, mlp_dim=16))),
            PRESETS["tiny"],
            trunk=None,
        )
