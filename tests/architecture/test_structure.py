"""Rules of taste that would otherwise erode: file size, torch-free web, no machine paths."""

from __future__ import annotations

import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
MAX_LINES = 400
GENERATED = {"annotator_ui/frontend/src/api/schema.gen.ts", "client/segloop_client/models.py"}
FIXED_FOLDERS = {"engine", "annotator_ui", "training", "workers", "migrations", "deploy", "tests"}
EARNED_FOLDERS = {"masks", "sam", "client", "docs", "benchmarks", "segloop"}


def tracked_files() -> list[Path]:
    listing = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout
    return [ROOT / name for name in listing.split("\0") if name and (ROOT / name).is_file()]


def test_no_source_file_is_too_long_to_read_in_one_sitting() -> None:
    sources = [
        path
        for path in tracked_files()
        if path.suffix in {".py", ".ts", ".tsx"}
        and "migrations" not in path.parts
        and str(path.relative_to(ROOT)) not in GENERATED
    ]
    assert len(sources) > 50

    too_long = {
        str(path.relative_to(ROOT)): lines
        for path in sources
        if (lines := len(path.read_text().splitlines())) > MAX_LINES
    }

    assert too_long == {}


def test_top_level_folders_are_the_agreed_ones() -> None:
    folders = {
        path.relative_to(ROOT).parts[0]
        for path in tracked_files()
        if len(path.relative_to(ROOT).parts) > 1
    }

    assert FIXED_FOLDERS <= folders
    assert {name for name in folders if not name.startswith(".")} <= FIXED_FOLDERS | EARNED_FOLDERS


def test_nothing_pickled_is_ever_loaded_freely() -> None:
    offenders = [
        str(path.relative_to(ROOT))
        for path in tracked_files()
        if path.suffix == ".py"
        and "tests" not in path.relative_to(ROOT).parts
        and ("pickle.load" in (text := path.read_text()) or "weights_only=False" in text)
    ]

    assert offenders == []
