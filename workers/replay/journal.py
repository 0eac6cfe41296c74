"""What a replay has done, line by line, so that a killed one continues where it stopped.

The database holds the work; the journal holds what only the oracle knows: its clicks and seconds.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from workers.replay.dataset import ReplayError

# Names in the journals of earlier versions, which are still read.
OLD_KINDS = {"photo": "image"}
OLD_FIELDS = {"num_close_ups": "num_crops"}
OLD_SETTINGS = {"trains": "trainable"}


class Journal:
    """Lines of JSON, each on the disk before `note` returns; the last line of a key counts."""

    def __init__(self, path: Path) -> None:
        """Open or begin a journal.

        Raises:
            ReplayError: The file is not a journal.
        """
        self._path = path
        self._notes: dict[tuple[str, str], dict[str, Any]] = {}
        text = path.read_text() if path.exists() else ""
        whole, _, torn = text.rpartition("\n")
        if torn:  # cut off by a kill: it was not yet acknowledged
            os.truncate(path, len(whole.encode()) + 1 if whole else 0)
        for line in whole.splitlines():
            try:
                kind, key, values = _parse(json.loads(line))
            except (ValueError, KeyError, TypeError, AttributeError):
                raise ReplayError(f"{path} is not the journal of a replay") from None
            self._notes[kind, key] = values

    def note(self, kind: str, key: object, values: Mapping[str, Any]) -> None:
        """Keep values under a kind and a key, permanently."""
        line = json.dumps({"kind": kind, "key": str(key), "values": values})
        with self._path.open("a") as file:
            file.write(line + "\n")
            file.flush()
            os.fsync(file.fileno())
        self._notes[kind, str(key)] = dict(values)

    def find(self, kind: str, key: object) -> dict[str, Any] | None:
        """Return the values under a kind and a key."""
        return self._notes.get((kind, str(key)))

    def all(self, kind: str) -> dict[str, dict[str, Any]]:
        """Return all values of a kind, by key, oldest first."""
        return {key: values for (found, key), values in self._notes.items() if found == kind}


def _parse(line: Mapping[str, Any]) -> tuple[str, str, dict[str, Any]]:
    """Return kind, key and values of a line, with today's names."""
    stored = str(line["kind"] if "kind" in line else line["what"])
    kind = OLD_KINDS.get(stored, stored)
    values = dict(line["values"])
    if kind == "settings":
        values = _renamed(values, OLD_SETTINGS)
    elif kind == "image" and "tally" in values:
        values["tally"] = _renamed(values["tally"], OLD_FIELDS)
    elif kind == "round" and "by_source" in values:
        by_source = values["by_source"].items()
        values["by_source"] = {source: _renamed(tally, OLD_FIELDS) for source, tally in by_source}
    return kind, str(line["key"]), values


def _renamed(values: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    return {names.get(name, name): value for name, value in values.items()}
