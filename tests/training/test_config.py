"""The numbers of a training: the paper's where it gives them, and none that cannot work."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from training.loop.config import (
    LARGE_SCALE_JITTER,
    PAPER_VIT_B,
    PAPER_VIT_H,
    PAPER_VIT_L,
    TRAIN_PRESETS,
    InteractiveConfig,
    TrainConfig,
)
from training.loop.run_folder import TrainError, open_run


def test_the_paper_s_recipes_are_the_paper_s() -> None:
    # iterations, batch, learning rate, layer decay, drop path: sam-1 paper, section A
    table = {
        "H": (PAPER_VIT_H, 90_000, 256, 8e-4, 0.8, 0.4),
        "L": (PAPER_VIT_L, 180_000, 128, 4e-4, 0.8, 0.4),
        "B": (PAPER_VIT_B, 180_000, 128, 8e-4, 0.6, 0.6),
    }
    for config, steps, batch, rate, layer_decay, drop_path in table.values():
        assert (config.num_steps, config.images_per_step) == (steps, batch)
        assert config.learning_rate == rate
        assert (config.layer_decay, config.drop_path) == (layer_decay, drop_path)
        assert (config.masks_per_image, config.max_area_share) == (64, 0.9)
        assert (config.weight_decay, config.betas, config.warmup_steps) == (0.1, (0.9, 0.999), 250)
        assert (config.schedule, config.decay_factor) == ("step", 0.1)
        assert config.interactive.num_corrections == 8
        assert config.interactive.mask_only_passes == 2
        assert config.trainable == "all"
    assert PAPER_VIT_H.milestones == (60_000, 86_666)
    assert LARGE_SCALE_JITTER == (0.1, 2.0)


def test_what_the_platform_runs_is_the_quick_recipe() -> None:
    assert TRAIN_PRESETS["retrain"] == TrainConfig()


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"images_per_step": 0}, "images_per_step is at least 1"),
        ({"num_steps": 0}, "num_steps is at least 1"),
        ({"mix_share": 1.5}, "mix_share lies between 0 and 1"),
        ({"drop_path": 1.0}, "drop_path lies below 1"),
        ({"layer_decay": 0.0}, "layer_decay and decay_factor lie above 0"),
        ({"learning_rate": float("nan")}, "learning_rate is a positive number"),
        ({"milestones": (5, 3)}, "milestones are steps in rising order"),
        ({"jitter_scale": (2.0, 0.1), "trainable": "all"}, "jitter_scale is a rising pair"),
        ({"jitter_scale": (0.1, 2.0)}, "jitter changes what the encoder sees"),
    ],
)
def test_numbers_that_cannot_work_are_refused_by_name(
    changes: dict[str, object], told: str
) -> None:
    with pytest.raises(ValueError, match=told):
        replace(TrainConfig(), **changes)


def test_an_annotator_that_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="mask_only_passes at most 2"):
        InteractiveConfig(mask_only_passes=3)
    with pytest.raises(ValueError, match="box_share lies between 0 and 1"):
        InteractiveConfig(box_share=-0.1)


def test_a_run_folder_written_with_old_names_of_settings_is_resumed(tmp_path: Path) -> None:
    old = {"config": {"close_ups_per_image": 4, "seed": 0}}
    (tmp_path / "config.json").write_text(json.dumps(old))

    run = open_run(tmp_path, identity={"config": {"crops_per_image": 4, "seed": 0}})

    assert run.path == tmp_path
    with pytest.raises(TrainError, match="config differ"):
        open_run(tmp_path, identity={"config": {"crops_per_image": 3, "seed": 0}})
