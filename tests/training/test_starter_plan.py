"""The plan runs its phases in turn, and what was packed trains as what it was packed from."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from sam.checkpoints import checkpoint_files
from sam.modeling.model import build
from tests.training.squares import squares_pool
from training.data.manifest import ManifestError
from training.scenes import LabelledImage
from training.starter.data import HELD_BACK_EVERY, Pool, ViewSettings
from training.starter.pack import pack
from training.starter.plan import PHASES, run_plan
from training.starter.recipe import EXPORT_NAME, STATE_NAME, StarterConfig

BRIEF = tuple(
    replace(phase, size_px=size) for phase, size in zip(PHASES, (32, 64, 64), strict=True)
)


def test_phases_follow_each_other_and_are_not_done_twice(tmp_path: Path) -> None:
    pool, out = squares_pool(tmp_path), tmp_path / "run"
    start = tmp_path / "start.safetensors"
    checkpoint_files.save(build("starter", seed=5), start, {"automatic": {"pred_iou_thresh": 0.4}})
    config = StarterConfig(
        start=start, views=ViewSettings(batch_images=2, max_masks=2), log_every_steps=1
    )

    path = run_plan(pool, config, out, hours=0.4 / 3600, processes=1, phases=BRIEF)

    assert path == out / EXPORT_NAME
    assert path.read_bytes() == (out / PHASES[-1].name / EXPORT_NAME).read_bytes()
    assert checkpoint_files.read_header(path).metadata["automatic"] == {"pred_iou_thresh": 0.4}
    small = checkpoint_files.load(out / "small" / EXPORT_NAME)
    begun = torch.load(out / "large" / STATE_NAME, weights_only=True)
    assert begun["step"] >= 1
    moved = begun["model"]["prompt_encoder.no_mask_embed.weight"]
    assert (moved - small.prompt_encoder.no_mask_embed.weight).abs().max() < 0.1  # went on from it
    encoders = [
        checkpoint_files.encoder_sha256(checkpoint_files.load(out / name / EXPORT_NAME))
        for name in ("small", "large", "decoder")
    ]
    assert encoders[0] != encoders[1] == encoders[2]  # the last phase is the decoder's alone
    logs = {phase.name: (out / phase.name / "log.jsonl").read_text() for phase in BRIEF}

    again = run_plan(pool, config, out, hours=0.4 / 3600, processes=1, phases=BRIEF)

    assert again == path
    assert {p.name: (out / p.name / "log.jsonl").read_text() for p in BRIEF} == logs


def test_phases_share_all_of_the_time() -> None:
    assert sum(phase.share for phase in PHASES) == pytest.approx(1.0)
    assert PHASES[-1].size_px == 512  # ends at the size that serves


def test_a_packed_pool_is_smaller_and_shows_the_same(tmp_path: Path) -> None:
    pool = squares_pool(tmp_path)

    pack(pool, tmp_path / "packed", long_side_px=32)

    moved = (tmp_path / "packed").rename(tmp_path / "elsewhere")
    read = Pool.load(moved)
    assert set(read.photos_by_source) == {"squares"}
    before = LabelledImage.load(pool.scenes[0])
    after = LabelledImage.load(read.scenes[0])
    assert after.image_hwc_u8.shape == (32, 32, 3)
    assert np.array_equal(after.layers_lhw, before.layers_lhw[:, 1::2, 1::2])
    inside = after.layers_lhw[0] > 0
    assert after.image_hwc_u8[inside].mean() == pytest.approx(220, abs=6)


def test_packing_again_leaves_what_is_there(tmp_path: Path) -> None:
    pool = squares_pool(tmp_path)
    packed = pack(pool, tmp_path / "packed")
    stamp = packed.scenes[0].stat().st_mtime_ns

    pack(pool, tmp_path / "packed")

    assert packed.scenes[0].stat().st_mtime_ns == stamp


@pytest.mark.parametrize("content", ["", "{}", json.dumps({"photos": [], "scenes": []})])
def test_a_folder_without_a_pool_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "pool.json").write_text(content)

    with pytest.raises(ManifestError, match="holds no pool"):
        Pool.load(tmp_path)


def test_every_tenth_photo_of_a_source_is_held_back() -> None:
    photos = tuple(Path(f"{number}.npz") for number in range(25))
    pool = Pool({"many": photos, "few": photos[:3]}, scenes=(Path("scene.npz"),))

    learnt, held_back = pool.parted()

    assert HELD_BACK_EVERY == 10
    assert held_back.photos_by_source == {"many": (photos[9], photos[19])}
    assert set(learnt.photos_by_source["many"]) == set(photos) - {photos[9], photos[19]}
    assert learnt.photos_by_source["few"] == photos[:3]
    assert learnt.scenes == held_back.scenes == pool.scenes
