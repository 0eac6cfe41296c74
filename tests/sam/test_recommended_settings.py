"""What a header recommends for automatic masks, read, carried on and written."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from sam.automatic.automatic_settings import PAPER_ENGINE, RELEASED
from sam.automatic.recommended_settings import (
    RecommendedSettingsError,
    carried_on,
    recommended_by,
    recommended_in,
    with_recommended,
    write_recommended,
)
from sam.checkpoints.checkpoint_files import encoder_sha256, load, read_header, save
from sam.modeling.model import build


def test_what_is_no_setting_is_left_out_and_later_settings_win() -> None:
    advice = recommended_in({"automatic": {"pred_iou_thresh": 0.3, "colour": "red"}})

    assert advice == {"pred_iou_thresh": 0.3}
    assert recommended_in({}) == recommended_in({"automatic": "all"}) == {}
    settings = with_recommended(PAPER_ENGINE, advice, {"crop_layers": 0})
    assert settings == replace(PAPER_ENGINE, pred_iou_thresh=0.3, crop_layers=0)


@pytest.mark.parametrize("bad", [{"points_per_side": "many"}, {"full_votes": 3}])
def test_advice_that_cannot_be_used_is_told(bad: dict) -> None:
    with pytest.raises(RecommendedSettingsError, match="settings cannot be used"):
        with_recommended(RELEASED, bad)


def test_official_files_recommend_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.save(build("tiny_vit", seed=1).state_dict(), tmp_path / "official.pth")

    assert recommended_by(tmp_path / "official.pth") == carried_on(tmp_path / "official.pth") == {}


def test_new_advice_changes_the_header_alone(tmp_path: Path) -> None:
    old, new = tmp_path / "old.safetensors", tmp_path / "new.safetensors"
    model = build("tiny", seed=1)
    facts = {"licence": "CC0", "automatic": {"pred_iou_thresh": 0.1}}
    save(model, old, facts, dtype=torch.float16)

    written = write_recommended(
        old, new, replace(RELEASED, adaptive_grid=True, full_votes=3, points_per_batch=4)
    )

    assert written == recommended_by(new) == {"adaptive_grid": True, "full_votes": 3}
    assert carried_on(new) == {"automatic": written}
    assert read_header(new).metadata["licence"] == "CC0"
    assert (
        read_header(new).metadata["encoder_sha256"] == read_header(old).metadata["encoder_sha256"]
    )
    assert encoder_sha256(load(new)) == encoder_sha256(load(old))
    assert abs(new.stat().st_size - old.stat().st_size) < 200
    write_recommended(new, new, replace(RELEASED, pred_iou_thresh=0.1))
    write_recommended(old, old, replace(RELEASED, pred_iou_thresh=0.1))
    assert new.read_bytes() == old.read_bytes()
