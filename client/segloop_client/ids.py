"""Identifiers that the client makes, so that sending a save again does not store it twice."""

from __future__ import annotations

import secrets
import time
from uuid import UUID


def new_id() -> UUID:
    """Make a time-ordered UUIDv7 (RFC 9562)."""
    number = (time.time_ns() // 1_000_000 & 0xFFFF_FFFF_FFFF) << 80
    number |= 0x7 << 76 | secrets.randbits(12) << 64 | 0b10 << 62 | secrets.randbits(62)
    return UUID(int=number)
