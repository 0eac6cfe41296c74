"""Copy every row of this installation from one database into an empty one of another kind.

Rows are read and written as Django sees them, in batches, so that memory stays small; afterwards
each table's count and checksum must be equal on both sides.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from django.apps import apps
from django.core.management.color import no_style
from django.core.serializers.json import DjangoJSONEncoder
from django.db import connections, models, transaction

from engine.domain.errors import Conflict

BATCH = 500
APPS = ("auth", "contenttypes", "sessions", "engine")
MADE_BY_MIGRATE = {"contenttypes.contenttype", "auth.permission"}
"""Tables that `migrate` fills: the target's own rows give way to the source's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CopiedTable:
    """One table after the copy; both sides had this count and this checksum."""

    name: str
    num_rows: int
    sha256: str


def copy_database(
    source: str, target: str, *, on_table: Callable[[str, int], object] = lambda *_: None
) -> list[CopiedTable]:
    """Copy all rows from the connection `source` to `target`, whose tables are migrated and empty.

    One transaction on the target: it has everything afterwards, or is as it was. Conflict when the
    target has rows of ours, or when a count or checksum differs.
    """
    tables = list(_tables())
    for table in tables:
        if table._meta.label_lower not in MADE_BY_MIGRATE and _rows(table, target).exists():
            raise Conflict(f"the target database is not empty: it has rows in {_name(table)}")
    with transaction.atomic(using=source), transaction.atomic(using=target):
        with connections[target].constraint_checks_disabled():
            _defer_constraints(target)
            for table in reversed(tables):
                if table._meta.label_lower in MADE_BY_MIGRATE:
                    _rows(table, target).delete()
            copied = [_copy(table, source, target, on_table=on_table) for table in tables]
        _set_sequences(tables, target)
        connections[target].check_constraints()
    return copied


def checksum(table: type[models.Model], using: str) -> tuple[int, str]:
    """Return the number of a table's rows and a SHA-256 over all their values, by primary key."""
    digest = hashlib.sha256()
    number = 0
    for row in _ordered(table, using):
        values = [field.value_from_object(row) for field in table._meta.concrete_fields]
        text = json.dumps(values, cls=DjangoJSONEncoder, sort_keys=True)
        digest.update(text.encode() + b"\n")
        number += 1
    return number, digest.hexdigest()


def _tables() -> Iterator[type[models.Model]]:
    """Every table with rows of ours, many-to-many ones too."""
    for app in APPS:
        yield from apps.get_app_config(app).get_models(include_auto_created=True)


def _copy(
    table: type[models.Model],
    source: str,
    target: str,
    *,
    on_table: Callable[[str, int], object],
) -> CopiedTable:
    batch: list[models.Model] = []
    for row in _ordered(table, source):
        batch.append(row)
        if len(batch) == BATCH:
            _write(table, batch, target)
            batch = []
    _write(table, batch, target)
    ours, theirs = checksum(table, source), checksum(table, target)
    if ours != theirs:
        raise Conflict(
            f"{_name(table)} differs after the copy: {ours[0]} rows ({ours[1][:12]}) here, "
            f"{theirs[0]} rows ({theirs[1][:12]}) there; nothing was kept"
        )
    on_table(_name(table), ours[0])
    return CopiedTable(name=_name(table), num_rows=ours[0], sha256=ours[1])


def _write(table: type[models.Model], batch: list[models.Model], target: str) -> None:
    table._base_manager.using(target).bulk_create(batch)


def _rows(table: type[models.Model], using: str) -> models.QuerySet[models.Model]:
    return table._base_manager.using(using).all()


def _ordered(table: type[models.Model], using: str) -> Iterator[models.Model]:
    return _rows(table, using).order_by("pk").iterator(chunk_size=BATCH)


def _name(table: type[models.Model]) -> str:
    return table._meta.db_table


def _defer_constraints(target: str) -> None:
    """Masks and their head revisions name each other: keys are checked at the end."""
    if connections[target].vendor == "postgresql":
        with connections[target].cursor() as cursor:
            cursor.execute("SET CONSTRAINTS ALL DEFERRED")


def _set_sequences(tables: list[type[models.Model]], target: str) -> None:
    """Let the next automatic key come after the copied ones."""
    statements = connections[target].ops.sequence_reset_sql(no_style(), tables)
    with connections[target].cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
