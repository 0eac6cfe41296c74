"""The only writer of any `status` column.

Rows are created with their first state; every later state goes through `move`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any

from django.db import transaction

from engine.domain.errors import StaleState
from engine.domain.states import is_allowed
from engine.models import StateChange, User
from engine.models.base import StatefulRow

Columns = Mapping[str, Any]


def move(
    row: StatefulRow,
    to: StrEnum,
    *,
    actor: User | None = None,
    reason: str = "",
    changes: Columns | None = None,
    guard: Columns | None = None,
) -> None:
    """Move the row from the state it was read in to another; refresh the row in hand.

    changes: columns that must change in the same statement (constraints tie them to the state).
    guard: further conditions on the stored row, such as a job's fence.
    Raises StaleState when the table has no such move, or when the stored row is no longer in the
    state seen (or fails the guard): of two racing movers the database lets exactly one through.
    """
    seen = row.state
    name = row._meta.verbose_name
    if not is_allowed(seen, to):
        raise StaleState(f"the {name} is {seen.value} and cannot become {to.value}")
    written: dict[str, Any] = {**(changes or {}), "status": to.value}
    matching = type(row)._default_manager.filter(pk=row.pk, status=seen.value, **(guard or {}))
    with transaction.atomic():
        if matching.update(**written) != 1:
            raise StaleState(f"the {name} is no longer {seen.value}: somebody else was faster")
        StateChange.objects.create(
            subject_type=row._meta.model_name or "",
            subject_id=row.pk,
            from_state=seen.value,
            to_state=to.value,
            actor=actor,
            reason=reason,
        )
    for column, value in written.items():
        setattr(row, column, value)


def move_many(
    rows: Sequence[StatefulRow],
    to: StrEnum,
    *,
    actor: User | None = None,
    reason: str = "",
    changes: Columns | None = None,
) -> None:
    """Move rows of one table, all in the same state, in two statements.

    The caller has locked them in its transaction; StaleState when a row has moved all the same.
    """
    if not rows:
        return
    kind, seen = type(rows[0]), rows[0].state
    if any(row.state != seen for row in rows) or not is_allowed(seen, to):
        raise StaleState(f"not every row is {seen.value} and may become {to.value}")
    found = kind._default_manager.filter(pk__in=[row.pk for row in rows], status=seen.value)
    with transaction.atomic():
        if found.update(**{**(changes or {}), "status": to.value}) != len(rows):
            raise StaleState(f"a row is no longer {seen.value}: somebody else was faster")
        StateChange.objects.bulk_create(
            StateChange(
                subject_type=kind._meta.model_name or "",
                subject_id=row.pk,
                from_state=seen.value,
                to_state=to.value,
                actor=actor,
                reason=reason,
            )
            for row in rows
        )
