"""Many rows into one table at once: COPY on PostgreSQL, executemany on SQLite.

Both take plain tuples, so that no model instance is built for each row.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from operator import attrgetter
from typing import Any

from django.db import connection, models

Row = Sequence[Any]

_HEADER = b"PGCOPY\n\xff\r\n\0" + struct.pack(">ii", 0, 0)
_TRAILER = struct.pack(">h", -1)
_NULL = struct.pack(">i", -1)
_FIXED: Mapping[str, tuple[str, int]] = {
    "FloatField": ("d", 8),
    "PositiveIntegerField": ("i", 4),
    "UUIDField": ("16s", 16),
}
"""Format and size of the kinds of columns that have one."""
_TEXT = {"TextField", "CharField"}
_BYTES_OF = attrgetter("bytes")
PARTS_AT_ONCE = 500
READ_BYTES = 1 << 17


def insert_rows(model: type[models.Model], rows: Iterable[Row]) -> None:
    """Insert rows, each with a value for every column of the model, in the model's order.

    Runs in the caller's transaction; constraints and indexes hold as for any insert.
    """
    columns = list(model._meta.concrete_fields)
    names = ", ".join(f'"{field.column}"' for field in columns)
    table = f'"{model._meta.db_table}"'
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            copy = f"COPY {table} ({names}) FROM STDIN (FORMAT binary)"
            with connection.wrap_database_errors:
                cursor.copy_expert(copy, _Reader(copy_stream(columns, rows)), READ_BYTES)
            return
        places = ", ".join(["%s"] * len(columns))
        prepared = [
            [
                field.get_db_prep_save(value, connection)
                for field, value in zip(columns, row, strict=True)
            ]
            for row in rows
        ]
        # Names of our own tables and columns; values go in as parameters.
        insert = f"INSERT INTO {table} ({names}) VALUES ({places})"  # noqa: S608
        cursor.executemany(insert, prepared)


def copy_stream(columns: Sequence[models.Field[Any, Any]], rows: Iterable[Row]) -> Iterator[bytes]:
    """Encode rows in PostgreSQL's binary COPY format, a few hundred at a time.

    A row is a struct of its fixed columns, then its texts, which must come last.
    """
    kinds = [_kind_of(field) for field in columns]
    num_fixed = sum(kind in _FIXED for kind in kinds)
    if not all(kind in _TEXT for kind in kinds[num_fixed:]):
        raise TypeError("columns of text must come last, and of other kinds are not copied")
    fixed = kinds[:num_fixed]
    whole = struct.Struct(">h" + "".join("i" + _FIXED[kind][0] for kind in fixed)).pack
    sizes = [_FIXED[kind][1] for kind in fixed]
    prepare = [_BYTES_OF if kind == "UUIDField" else None for kind in fixed]
    head = struct.pack(">h", len(columns))
    parts = [_HEADER]
    for row in rows:
        values = [
            value if how is None or value is None else how(value)
            for how, value in zip(prepare, row, strict=False)
        ]
        if None in values:
            parts.append(head + _with_nulls(fixed, values))
        else:
            parts.append(whole(len(columns), *chain.from_iterable(zip(sizes, values, strict=True))))
        for text in row[num_fixed:]:
            data = text.encode()
            parts.append(len(data).to_bytes(4, "big") + data)
        if len(parts) > PARTS_AT_ONCE:
            yield b"".join(parts)
            parts.clear()
    yield b"".join([*parts, _TRAILER])


def _with_nulls(kinds: Sequence[str], values: Sequence[Any]) -> bytes:
    return b"".join(
        _NULL if value is None else struct.pack(">i" + _FIXED[kind][0], _FIXED[kind][1], value)
        for kind, value in zip(kinds, values, strict=True)
    )


def _kind_of(field: models.Field[Any, Any]) -> str:
    target = field.target_field if isinstance(field, models.ForeignKey) else field
    return target.get_internal_type()


class _Reader:
    """What psycopg2 reads a COPY from: the server works on one part while the next is made."""

    def __init__(self, parts: Iterator[bytes]) -> None:
        self._parts = parts
        self._left = b""

    def read(self, size: int) -> bytes:
        while len(self._left) < size and (part := next(self._parts, None)) is not None:
            self._left += part
        given, self._left = self._left[:size], self._left[size:]
        return given
