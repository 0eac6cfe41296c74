"""A replay's findings as text tables, JSON and CSV."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from workers.replay.heldout import CLICKS_TO_GOAL
from workers.replay.run import Replay, ReplaySettings
from workers.replay.summary import findings

COLUMNS = (
    ("round", "round", "d"),
    ("stage", "stage", "s"),
    ("model", "model_version", "d"),
    ("images", "images", "d"),
    ("drawn", "masks_drawn", "d"),
    ("accepted", "masks_accepted", "d"),
    ("rejected", "masks_rejected", "d"),
    ("in crops", "masks_in_crops", "d"),
    ("clicks/mask", "clicks_per_mask", ".2f"),
    ("by first", "first_clicks_per_mask", ".2f"),
    ("brushed", "brushed_share", ".2f"),
    ("s/mask", "seconds_per_mask", ".2f"),
    ("1-click was", "serving_clicks_1_miou", ".3f"),
    ("1-click now", "candidate_clicks_1_miou", ".3f"),
    ("promoted", "is_promoted", "s"),
)
SOURCE_COLUMNS = (
    ("round", "round", "d"),
    ("source", "source", "s"),
    ("images", "images", "d"),
    ("drawn", "masks_drawn", "d"),
    ("accepted", "masks_accepted", "d"),
    ("clicks/mask", "clicks_per_mask", ".2f"),
    ("by first", "first_clicks_per_mask", ".2f"),
    ("s/mask", "seconds_per_mask", ".2f"),
    ("auto masks", "automatic_masks", "d"),
    ("agreement", "automatic_agreement", ".2f"),
    ("recall", "automatic_recall", ".2f"),
)
HELDOUT_COLUMNS = (
    ("model", "model", "d"),
    ("1 click", "clicks_1", ".3f"),
    ("macro", "clicks_1_macro", ".3f"),
    ("3 clicks", "clicks_3", ".3f"),
    ("5 clicks", "clicks_5", ".3f"),
    ("box", "box", ".3f"),
    ("clicks to 0.85", CLICKS_TO_GOAL, ".2f"),
)
Columns = tuple[tuple[str, str, str], ...]


def text(replay: Replay) -> str:
    """Return the tables by round, by version and by source, and what they show."""
    parts = [_table([one.figures() for one in replay.rounds], COLUMNS)]
    if replay.heldout:
        rows = [{"model": number, **found} for number, found in sorted(replay.heldout.items())]
        parts.append("On the held-out folder:\n" + _table(rows, HELDOUT_COLUMNS))
    by_source = _by_source(replay)
    if len({row["source"] for row in by_source}) > 1:
        parts.append("By source:\n" + _table(by_source, SOURCE_COLUMNS))
    parts.append("\n".join(remarks(replay)))
    return "\n\n".join(parts)


def remarks(replay: Replay) -> list[str]:
    """Return what the figures show, why candidates were promoted or not, and the export."""
    marks = {True: "met", False: "NOT met", None: "open"}
    lines = [f"{marks[one.is_met]:>7}: {one.text}" for one in findings(replay)]
    lines += [
        f"round {one.number}: version {one.retrain.version} was {one.retrain.status}: {reason}"
        for one in replay.rounds
        if one.retrain is not None
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
        "settings": settings.to_json(),
        "rounds": [
            {**figures, "sources": one.by_source_figures()}
            for figures, one in zip(rounds, replay.rounds, strict=True)
        ],
        "heldout": replay.heldout,
        "findings": [asdict(one) for one in findings(replay)],
        "export": replay.export.to_json(),
    }
    json_path, csv_path = out_dir / "replay.json", out_dir / "rounds.csv"
    json_path.write_text(json.dumps(document, indent=2) + "\n")
    with csv_path.open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rounds[0]))
        writer.writeheader()
        writer.writerows({**row, "reasons": "; ".join(row["reasons"])} for row in rounds)
    return [json_path, csv_path]


def _by_source(replay: Replay) -> list[dict[str, Any]]:
    return [
        {"round": one.number, "source": source, **figures}
        for one in replay.rounds
        for source, figures in one.by_source_figures().items()
    ]


def _table(rows: Sequence[Mapping[str, Any]], columns: Columns) -> str:
    cells = [[title for title, _, _ in columns]]
    cells += [[_cell(row.get(key), form) for _, key, form in columns] for row in rows]
    widths = [max(len(row[place]) for row in cells) for place in range(len(columns))]
    return "\n".join(_line(row, widths) for row in cells)


def _cell(value: Any, form: str) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return format(value, form)


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
