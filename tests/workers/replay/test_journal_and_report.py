"""The replay's journal, sums and findings, apart from the loop."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.domain.schedule import RoundSize
from workers.replay import oracle, report
from workers.replay.dataset import ReplayError
from workers.replay.journal import Journal
from workers.replay.rounds import AutomaticFigures, ExportCheck, Retrain, Round, Tally
from workers.replay.run import Replay, ReplaySettings
from workers.replay.summary import Finding, findings


def square(x_px: int, *, side: int = 10) -> oracle.Mask:
    mask = np.zeros((40, 60), dtype=bool)
    mask[5 : 5 + side, x_px : x_px + side] = True
    return mask


class TestJournal:
    def test_a_second_process_reads_what_the_first_noted_and_the_last_note_counts(
        self, tmp_path: Path
    ) -> None:
        first = Journal(tmp_path / "j.jsonl")
        first.note("image", 1, {"clicks": 2})
        first.note("image", 2, {"clicks": 5})
        first.note("image", 1, {"clicks": 3})

        second = Journal(tmp_path / "j.jsonl")

        assert second.find("image", 1) == {"clicks": 3}
        assert second.all("image") == {"1": {"clicks": 3}, "2": {"clicks": 5}}
        assert second.find("image", 3) is None

    @pytest.mark.parametrize("num_bytes", [1, 5, 20], ids=["newline", "brace", "half"])
    def test_a_line_that_a_kill_cut_off_is_forgotten_and_writing_goes_on(
        self, tmp_path: Path, num_bytes: int
    ) -> None:
        path = tmp_path / "j.jsonl"
        journal = Journal(path)
        journal.note("round", 1, {"a": 1})
        journal.note("round", 2, {"a": 2})
        path.write_bytes(path.read_bytes()[:-num_bytes])

        again = Journal(path)
        again.note("round", 3, {"a": 3})

        assert Journal(path).all("round") == {"1": {"a": 1}, "3": {"a": 3}}

    def test_a_journal_with_the_names_of_earlier_versions_is_still_read(
        self, tmp_path: Path
    ) -> None:
        one = a_round(1, "assisted_manual", clicks=50, seconds=100)
        stored = json.loads(json.dumps(one.to_json()))
        tally = stored["by_source"]["a"]
        settings = ReplaySettings(dataset=tmp_path, trainable=RoundSize.DECODER).to_json()
        old_settings = {k: v for k, v in settings.items() if k != "trainable"}
        tally["num_close_ups"] = tally.pop("num_crops")
        lines = [
            {"what": "settings", "key": "", "values": {**old_settings, "trains": "decoder"}},
            {"what": "photo", "key": "7", "values": {"round": 1, "source": "a", "tally": tally}},
            {"what": "round", "key": "1", "values": stored},
            {"what": "retrain sam", "key": "1", "values": {"version": "v"}},
        ]
        path = tmp_path / "j.jsonl"
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))

        journal = Journal(path)

        assert journal.find("settings", "") == json.loads(json.dumps(settings))
        image = journal.find("image", "7")
        assert image is not None
        assert Tally(**image["tally"]) == one.by_source["a"]
        assert Round.from_json(journal.find("round", 1) or {}) == one
        assert journal.all("retrain sam") == {"1": {"version": "v"}}

    def test_another_file_is_not_taken_for_a_journal(self, tmp_path: Path) -> None:
        (tmp_path / "j.jsonl").write_text("milk\neggs\n")

        with pytest.raises(ReplayError, match="not the journal of a replay"):
            Journal(tmp_path / "j.jsonl")


def test_pairs_are_one_to_one_best_first_with_their_iou() -> None:
    truths = [square(10), square(40)]
    proposals = [square(12), square(10), square(40, side=9), square(25)]

    pairs = oracle.matched_pairs(proposals, truths, min_iou=0.5)

    assert [(i, j) for _, i, j in pairs] == [(1, 0), (2, 1)]
    assert [iou for iou, _, _ in pairs] == [1.0, 0.81]


def test_tallies_add_up_and_means_are_of_masks() -> None:
    one = Tally(
        num_images=1,
        num_drawn=2,
        num_clicks=6,
        num_first_clicks=8,
        seconds=11.0,
        ious_by_clicks=[0.9, 0.8],
    )
    two = Tally(num_images=1, num_accepted=3, num_rejected=1, seconds=4.0)

    total = Tally.total([one, two]).figures()

    assert total["images"] == 2
    assert total["clicks_per_mask"] == 3.0
    assert total["first_clicks_per_mask"] == 4.0
    assert total["seconds_per_mask"] == 3.0  # of the five masks of the dataset
    assert total["accept_rate"] == 0.75
    assert total["iou_before_brush"] == pytest.approx(0.85)
    assert Tally().figures()["seconds_per_mask"] is None


def a_round(number: int, stage: str, *, clicks: int, seconds: float, **changes: Any) -> Round:
    tally = Tally(
        num_images=1, num_drawn=10, num_clicks=clicks, num_first_clicks=50, seconds=seconds
    )
    retrain = Retrain(
        version=number + 1,
        status="serving",
        is_promoted=True,
        reasons=("passed",),
        clicks_1_miou=0.6,
        serving_clicks_1_miou=0.5,
    )
    base = Round(
        number=number, stage=stage, model_version=number, by_source={"a": tally}, retrain=retrain
    )
    return replace(base, **changes)


def a_replay(*, good: int = 9, heldout: tuple[float, ...] = (0.5, 0.6, 0.62, 0.63)) -> Replay:
    automatic = AutomaticFigures(num_masks=20, num_truths=15, num_pairs=10, num_good=good)
    rounds = (
        a_round(1, "assisted_manual", clicks=50, seconds=100),
        a_round(2, "assisted_manual", clicks=30, seconds=60),
        a_round(3, "semi_automatic", clicks=20, seconds=40),
        a_round(
            4, "fully_automatic", clicks=0, seconds=0, retrain=None, automatic={"a": automatic}
        ),
    )
    figures = {
        number: {
            **dict.fromkeys(("clicks_1_macro", "clicks_3", "clicks_5", "box"), 0.5),
            "clicks_1": value,
            "clicks_to_85": 4.0,
        }
        for number, value in enumerate(heldout, start=1)
    }
    return Replay(
        rounds=rounds,
        heldout=figures,
        export=ExportCheck(num_saved=30, num_exported=50, num_equal=30),
    )


def by_name(replay: Replay) -> dict[str, Finding]:
    return {one.name: one for one in findings(replay)}


def test_a_replay_that_saves_enough_meets_every_goal() -> None:
    found = by_name(a_replay())

    assert {name: one.is_met for name, one in found.items()} == {
        "clicks_fall": True,
        "clicks_fall_on_the_same_masks": True,
        "heldout_rises": True,
        "effort_fall": True,
        "automatic_agreement": True,
    }
    assert found["clicks_fall"].value == pytest.approx(0.4)
    assert "last assisted-manual round, first model to its own: 5.00 to 3.00" in (
        found["clicks_fall_on_the_same_masks"].text
    )
    assert found["effort_fall"].value == pytest.approx(1 / 3)
    assert "recall of 0.60 at precision 0.45" in found["automatic_agreement"].text


def test_a_promoted_version_that_fell_on_the_heldout_folder_is_reported() -> None:
    found = by_name(a_replay(heldout=(0.5, 0.6, 0.59, 0.7)))["heldout_rises"]

    assert found.is_met is False
    assert "0.500 -> 0.600 -> 0.590 -> 0.700" in found.text
    assert by_name(a_replay(heldout=()))["heldout_rises"].is_met is None


def test_pairs_that_agree_too_seldom_miss_the_goal() -> None:
    assert by_name(a_replay(good=7))["automatic_agreement"].is_met is False


def test_a_round_is_the_same_after_the_journal() -> None:
    for one in a_replay().rounds:
        assert Round.from_json(json.loads(json.dumps(one.to_json()))) == one


def test_a_round_of_a_journal_from_before_crops_is_still_read() -> None:
    one = a_round(1, "assisted_manual", clicks=50, seconds=100)
    stored = json.loads(json.dumps(one.to_json()))
    del stored["by_source"]["a"]["num_crops"]
    del stored["by_source"]["a"]["num_first_clicks"]

    old = Round.from_json(stored)

    assert old.figures() == {**one.figures(), "first_clicks_per_mask": None}


def test_the_report_counts_masks_drawn_in_crops() -> None:
    tallies = [Tally(num_drawn=4, num_crops=3), Tally(num_drawn=2, num_crops=1)]

    assert Tally.total(tallies).figures()["masks_in_crops"] == 4
    assert "in crops" in report.text(a_replay())


def test_the_report_has_rounds_versions_findings_and_reasons() -> None:
    text = report.text(a_replay())

    assert "clicks/mask" in text
    assert "On the held-out folder:" in text
    assert "By source:" not in text  # there is one
    assert "    met: clicks a mask" in text
    assert "round 1: version 2 was serving: passed" in text
    assert "30 of the 30 that the oracle kept are there, pixel for pixel" in text
