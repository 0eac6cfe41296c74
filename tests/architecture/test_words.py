"""One word for one idea: words that the glossary retired stay out of code, API and pages."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
GLOSSARY = "docs/reference/glossary.md"
FROZEN = (
    "migrations/",
    "docs/research/",
    "CHANGELOG.md",
    GLOSSARY,
    "tests/architecture/test_words.py",
)
"""History, and the two files that name the words in order to forbid them."""
READ = re.compile(r"\.(py|ts|tsx|js|css|html|md|toml|json|yaml|yml|svg)$|/Makefile$|^Makefile$")
OLD_DATA = r"test_released_attempts|test_upgrade|old_data"
"""Code that reads what 0.1.0 wrote, and its tests."""
SKIPPED = re.compile(r"package-lock\.json$|/golden/.*\.json$|\.min\.js$|authorisation\.toml$")


@dataclass(frozen=True, slots=True)
class RetiredWord:
    """A word that went. `pattern` finds it in prose, snake_case and camelCase.

    allowed_in: paths where the same letters mean something else. is_gone: False while the code
    still has it; a word is enforced from the day it is gone.
    """

    pattern: str
    now: str
    allowed_in: str = ""
    is_gone: bool = True


RETIRED = (
    RetiredWord(r"(?i)look(s|ing)?[-_ ]?closer|came_?closer|closer_detection", "crop"),
    RetiredWord(r"(?i)close[-_]?ups?(?![a-z])", "crop", allowed_in=OLD_DATA, is_gone=False),
    RetiredWord(r"fix_side|\bSide\(StrEnum|\b[iI]mage\.side\b|ImageSide\.(TRAIN|HOLDOUT)", "split"),
    RetiredWord(r"(?i)\bdesks?\b|[a-z]Desk\b|_desk\b", "editor context, replay session"),
    RetiredWord(r"\bToldServer|\btold_as|asTold", "synced, acknowledged", is_gone=False),
    RetiredWord(r"(?i)\bdoorbells?\b|\bbells?\b|\bdeaf\b", "notification"),
    RetiredWord(r"\bwake\(|\bring_(the_)?bell|\.hurry\(|\bhurry\b", "notify; raise the priority"),
    RetiredWord(r"\btried_again\b|\blet_go\b|\bgive_up\b", "on_retry, detach, abandon"),
    RetiredWord(r"\bgive_back\b|\bgiven back\b", "release", allowed_in=OLD_DATA),
    RetiredWord(r"(?i)\bsittings?\b", "training run", is_gone=False),
    RetiredWord(r"(?i)\bovals?\b|_oval|oval_", "ellipse", is_gone=False),
    RetiredWord(
        r"(?i)thin[- ]today|\bthe[_ ]walk\b|\bcoming[- ]in\b",
        "limitations, end-to-end",
        is_gone=False,
    ),
    RetiredWord(r"\bpeers\b|Peer\b", "reference implementation", is_gone=False),
    RetiredWord(r"(?i)\badvice\b|AdviceOut", "recommendation, recommended settings", is_gone=False),
    RetiredWord(r"\bstanding\b|Standing", "evaluation of the stage", is_gone=False),
    RetiredWord(r"(?i)\bobjections?\b", "blocker", is_gone=False),
    RetiredWord(r"(?i)\bjudge(s|d|ment)?\b|judging", "review", is_gone=False),
    RetiredWord(r"\bbecause=|\btrains=|\"(because|trains)\"", "trigger, trainable", is_gone=False),
    RetiredWord(r"Photo[A-Z(]|PhotoError|read_photo|\bphotos?_|_photos?\b", "image", is_gone=False),
    RetiredWord(r"PictureError|read_picture|\bpictures?_|_pictures?\b", "image", is_gone=False),
    RetiredWord(r"(?i)\bphotos?\b(?!-)", "image", is_gone=False),
    RetiredWord(r"(?i)\bpictures?\b", "image", is_gone=False),
)


def files_of_the_product() -> list[str]:
    listing = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout
    return [
        name
        for name in listing.split("\0")
        if READ.search(name)
        and not SKIPPED.search(name)
        and not name.startswith(FROZEN)
        and (ROOT / name).is_file()
    ]


@pytest.mark.parametrize(
    "word", [word for word in RETIRED if word.is_gone], ids=lambda word: word.pattern
)
def test_a_retired_word_is_used_nowhere(word: RetiredWord) -> None:
    pattern = re.compile(word.pattern)
    found = [
        f"{name}:{number}: {line.strip()[:100]}"
        for name in files_of_the_product()
        if not (word.allowed_in and re.search(word.allowed_in, name))
        for number, line in enumerate((ROOT / name).read_text().splitlines(), 1)
        if pattern.search(line)
    ]

    assert found == [], f"say {word.now}"
