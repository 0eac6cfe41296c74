"""A replay's findings as a table for people, JSON and CSV for programs."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from workers.replay.run import Replay, ReplaySettings

COLUMNS = (
    ("round", "round", "d"),
    ("stage", "stage", "s"),
    ("model", "model_version", "d"),
    ("images", "images", "d"),
    ("drawn", "masks_drawn", "d"),
    ("accepted", "masks_accepted", "d"),
    ("clicks/mask", "clicks_per_mask", ".1f"),
    ("s/mask", "seconds_per_mask", ".1f"),
    ("IoU unbrushed", "iou_before_brush", ".2f"),
    ("1-click was", "serving_clicks_1_miou", ".3f"),
    ("1-click now", "candidate_clicks_1_miou", ".3f"),
    ("promoted", "is_promoted", "s"),
    ("auto masks", "automatic_masks", "d"),
    ("auto recall", "automatic_recall", ".2f"),
    ("auto matched", "automatic_matched_share", ".2f"),
)


def table(replay: Replay) -> str:
    """Return the table by round."""
    rows = [[title for title, _, _ in COLUMNS]]
    for one in replay.rounds:
        figures = one.figures()
        rows.append([_cell(figures[key], form) for _, key, form in COLUMNS])
    widths = [max(len(row[column]) for row in rows) for column in range(len(COLUMNS))]
    return "\n".join(_line(row, widths) for row in rows)


def remarks(replay: Replay) -> list[str]:
    """Return what does not fit into a table: why candidates were rejected, and the export."""
    lines = [
        f"round {one.number}: version {one.retrain.version} was {one.retrain.status}: {reason}"
        for one in replay.rounds
        if one.retrain is not None and not one.retrain.is_promoted
        for reason in one.retrain.reasons
    ]
    export = replay.export
    lines.append(
        f"export: {export.num_exported} masks; {export.num_equal} of the {export.num_saved} that "
        "the oracle kept are there, pixel for pixel"
    )
    return lines


def write(replay: Replay, *, settings: ReplaySettings, out_dir: Path) -> list[Path]:
    """Write replay.json and rounds.csv; return their paths."""
    out_dir.mkdir(parents=True, exist_ok=True)
    rounds = [one.figures() for one in replay.rounds]
    document = {
        "settings": {**asdict(settings), "dataset": str(settings.dataset)},
        "rounds": rounds,
        "export": replay.export.to_json(),
    }
    json_path, csv_path = out_dir / "replay.json", out_dir / "rounds.csv"
    json_path.write_text(json.dumps(document, indent=2) + "\n")
    with csv_path.open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rounds[0]))
        writer.writeheader()
        writer.writerows({**row, "reasons": "; ".join(row["reasons"])} for row in rounds)
    return [json_path, csv_path]


def _cell(value: Any, form: str) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return format(value, form)


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
