"""What clients did, and whether the database afterwards agrees: the history checker.

Clients write down every invocation before they send it and every acknowledgement when it has
arrived. Pure: no database, no network, so that it is tested by itself.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Save:
    """One mask that a client drew. Its shape is drawn by nobody else: `sha256` names it."""

    client: str
    seq: int
    revision_id: str
    mask_id: str
    sha256: str
    invoked_s: float
    acked_s: float | None = None
    num_sent: int = 0


@dataclass
class History:
    """All that was sent and acknowledged, from any thread."""

    saves: dict[str, Save] = field(default_factory=dict)
    images: dict[str, float] = field(default_factory=dict)
    statuses: Counter[str] = field(default_factory=Counter)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def invoke(self, save: Save) -> None:
        with self._lock:
            self.saves[save.revision_id] = save

    def ack(self, revision_id: str) -> None:
        with self._lock:
            self.saves[revision_id].acked_s = time.monotonic()

    def ack_image(self, image_id: str) -> None:
        with self._lock:
            self.images.setdefault(image_id, time.monotonic())

    def count(self, status: str) -> None:
        with self._lock:
            self.statuses[status] += 1


@dataclass(frozen=True, slots=True)
class Stored:
    """A mask revision as the database has it. `order` is the order of the server's clock."""

    revision_id: str
    mask_id: str
    sha256: str
    height_px: int
    width_px: int
    counts: str
    order: str


def check_masks(
    history: History, rows: Iterable[Stored], heads: Mapping[str, str]
) -> dict[str, list[str]]:
    """Return what is wrong, by kind; every list is empty when nothing is.

    heads: the head revision of every mask.
    """
    rows = list(rows)
    by_shape: dict[str, list[Stored]] = defaultdict(list)
    for row in rows:
        by_shape[row.sha256].append(row)
    sent = {save.sha256 for save in history.saves.values()}
    acked = [save for save in history.saves.values() if save.acked_s is not None]
    revisions_of = defaultdict(set)
    for row in rows:
        revisions_of[row.mask_id].add(row.revision_id)
    return {
        "lost": [save.revision_id for save in acked if not by_shape[save.sha256]],
        "duplicated": [sha for sha, found in by_shape.items() if len(found) > 1],
        "phantom": [row.revision_id for row in rows if row.sha256 not in sent],
        "corrupt": [row.revision_id for row in rows if _sha256(row) != row.sha256],
        "headless": [mask for mask, head in heads.items() if head not in revisions_of[mask]],
        "out of order": _out_of_order(acked, rows),
    }


def check_jobs(
    *,
    asked: Iterable[str],
    jobs: Iterable[Mapping[str, Any]],
    effects: Iterable[tuple[str, int]],
    attempts: Iterable[Mapping[str, Any]],
) -> dict[str, list[str]]:
    """Return what is wrong with the work, by kind.

    asked: keys of acknowledged work. jobs: {id, key, status, fence, has_effect_row}.
    effects: (job id, fence under which it was written). attempts: {job, fence, outcome}.
    """
    jobs = list(jobs)
    by_key = {job["key"]: job for job in jobs}
    written = Counter(job for job, _ in effects)
    fences = dict(effects)
    outcomes: dict[str, list[tuple[int, str]]] = defaultdict(list)
    for attempt in attempts:
        outcomes[attempt["job"]].append((attempt["fence"], attempt["outcome"]))
    noted = [job for job in jobs if job["has_effect_row"]]
    over = [job for job in jobs if job["status"] == "succeeded"]
    return {
        "lost": [key for key in asked if key not in by_key],
        "not done": [job["key"] for job in jobs if job["status"] != "succeeded"],
        "effect missing": [job["key"] for job in noted if written[job["id"]] == 0],
        "effect doubled": [job["key"] for job in noted if written[job["id"]] > 1],
        "stale effect": [
            job["key"] for job in noted if fences.get(job["id"], job["fence"]) != job["fence"]
        ],
        "attempts wrong": [
            job["key"] for job in over if not _is_sound(outcomes[job["id"]], fence=job["fence"])
        ],
    }


def _sha256(row: Stored) -> str:
    text = f"{row.height_px}x{row.width_px}:{row.counts}"
    return hashlib.sha256(text.encode()).hexdigest()


def _out_of_order(acked: list[Save], rows: list[Stored]) -> list[str]:
    """Acknowledged saves of one client that the server put in another order."""
    order = {row.revision_id: row.order for row in rows}
    wrong = []
    last: dict[str, str] = {}
    for save in sorted(acked, key=lambda save: (save.client, save.seq)):
        at = order.get(save.revision_id)
        if at is None:
            continue  # lost: reported already
        if at < last.get(save.client, ""):
            wrong.append(save.revision_id)
        last[save.client] = at
    return wrong


def _is_sound(outcomes: list[tuple[int, str]], *, fence: int) -> bool:
    """Fences 1, 2, 3, ... without a gap; the last succeeded and no other; none is open."""
    outcomes = sorted(outcomes)
    return (
        [number for number, _ in outcomes] == list(range(1, fence + 1))
        and all(outcome for _, outcome in outcomes)
        and [outcome for _, outcome in outcomes].count("succeeded") == 1
        and outcomes[-1][1] == "succeeded"
    )
