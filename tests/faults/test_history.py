"""The history checker finds every kind of damage; else an empty result would mean nothing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from masks.rle import Rle
from tests.faults.history import History, Save, Stored, check_jobs, check_masks


def rle(place: int) -> Rle:
    mask_hw = np.zeros((20, 20), dtype=bool)
    mask_hw[place : place + 5, 3:9] = True
    return Rle.encode(mask_hw)


def history(num_saves: int) -> History:
    made = History()
    for place in range(num_saves):
        made.invoke(
            Save(
                client="anna",
                seq=place,
                revision_id=f"r{place}",
                mask_id=f"m{place}",
                sha256=rle(place).sha256,
                invoked_s=place,
            )
        )
        made.ack(f"r{place}")
    return made


def row(place: int) -> Stored:
    shape = rle(place)
    return Stored(f"r{place}", f"m{place}", shape.sha256, 20, 20, shape.counts, f"2026-{place}")


def found(wrong: dict[str, list[str]]) -> set[str]:
    return {kind for kind, items in wrong.items() if items}


HEADS = {"m0": "r0", "m1": "r1"}


def test_a_faithful_database_has_nothing_wrong() -> None:
    assert found(check_masks(history(2), [row(0), row(1)], HEADS)) == set()


@pytest.mark.parametrize(
    ("rows", "heads", "kind"),
    [
        ([row(0)], {"m0": "r0"}, "lost"),
        ([row(0), row(1), replace(row(1), revision_id="r9", mask_id="m1")], HEADS, "duplicated"),
        ([row(0), row(1), row(7)], HEADS, "phantom"),
        ([row(0), replace(row(1), counts=row(2).counts)], HEADS, "corrupt"),
        ([row(0), row(1)], {"m0": "r1", "m1": "r1"}, "headless"),
        ([replace(row(0), order="2027"), row(1)], HEADS, "out of order"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_each_kind_of_damage_is_found(rows: list[Stored], heads: dict[str, str], kind: str) -> None:
    assert found(check_masks(history(2), rows, heads)) == {kind}


def test_a_save_nobody_acknowledged_may_be_missing_or_there() -> None:
    made = history(2)
    made.saves["r1"].acked_s = None

    assert found(check_masks(made, [row(0)], {"m0": "r0"})) == set()
    assert found(check_masks(made, [row(0), row(1)], HEADS)) == set()


JOB = {"id": "j", "key": "note-1", "status": "succeeded", "fence": 2, "has_effect_row": True}
TWO = [
    {"job": "j", "fence": 1, "outcome": "lost"},
    {"job": "j", "fence": 2, "outcome": "succeeded"},
]


def test_work_done_at_the_second_attempt_is_sound() -> None:
    wrong = check_jobs(asked=["note-1"], jobs=[JOB], effects=[("j", 2)], attempts=TWO)

    assert found(wrong) == set()


@pytest.mark.parametrize(
    ("job", "effects", "attempts", "kind"),
    [
        ({**JOB, "key": "other"}, [("j", 2)], TWO, "lost"),
        ({**JOB, "status": "queued"}, [("j", 2)], TWO, "not done"),
        (JOB, [], TWO, "effect missing"),
        (JOB, [("j", 2), ("j", 2)], TWO, "effect doubled"),
        (JOB, [("j", 1)], TWO, "stale effect"),
        (JOB, [("j", 2)], TWO[1:], "attempts wrong"),
        (JOB, [("j", 2)], [{**TWO[0], "outcome": ""}, TWO[1]], "attempts wrong"),
    ],
)
def test_each_kind_of_lost_or_doubled_work_is_found(
    job: dict[str, object],
    effects: list[tuple[str, int]],
    attempts: list[dict[str, object]],
    kind: str,
) -> None:
    wrong = check_jobs(asked=["note-1"], jobs=[job], effects=effects, attempts=attempts)

    assert found(wrong) == {kind}
