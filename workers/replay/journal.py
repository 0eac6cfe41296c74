"""What a replay has done, line by line, so that a killed one goes on where it was.

The database holds the work; the journal holds what only the oracle knows: its clicks and seconds.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from workers.replay.dataset import ReplayError


class Journal:
    """Lines of JSON, each on the disk before `note` returns; the last line about a thing counts."""

    def __init__(self, path: Path) -> None:
        """Open or begin a journal. ReplayError when the file is none."""
        self._path = path
        self._notes: dict[tuple[str, str], dict[str, Any]] = {}
        text = path.read_text() if path.exists() else ""
        whole, _, torn = text.rpartition("\n")
        if torn:  # cut off by a kill: what it said was not yet acknowledged
            os.truncate(path, len(whole.encode()) + 1 if whole else 0)
        for line in whole.splitlines():
            try:
                note = json.loads(line)
                self._notes[str(note["what"]), str(note["key"])] = note["values"]
            except (ValueError, KeyError, TypeError):
                raise ReplayError(f"{path} is not the journal of a replay") from None

    def note(self, what: str, key: object, values: Mapping[str, Any]) -> None:
        """Keep values under a name and a key, for good."""
        line = json.dumps({"what": what, "key": str(key), "values": values})
        with self._path.open("a") as file:
            file.write(line + "\n")
            file.flush()
            os.fsync(file.fileno())
        self._notes[what, str(key)] = dict(values)

    def find(self, what: str, key: object) -> dict[str, Any] | None:
        """Return what was noted under a name and a key."""
        return self._notes.get((what, str(key)))

    def all(self, what: str) -> dict[str, dict[str, Any]]:
        """Return everything noted under a name, by key, oldest first."""
        return {key: values for (kind, key), values in self._notes.items() if kind == what}
