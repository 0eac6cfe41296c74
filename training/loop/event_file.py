"""TensorBoard's event format, as far as scalars need it: TFRecord frames of protobuf messages.

Written by hand in sixty lines, so that every run has its curves without another dependency.
Layout: tensorflow/core/lib/io/record_writer.cc and core/util/event.proto.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping

_NOT_CURVES = ("time", "step")


def start_bytes() -> bytes:
    """Return the record that opens an event file: it names the format's version."""
    return _record(_double(1, 0.0) + _bytes(3, b"brain.Event:2"))


def event_bytes(figures: Mapping[str, object]) -> bytes:
    """Return one step's numbers as a record; `time` (s since 1970) and `step` place them."""
    values = b"".join(
        _bytes(1, _bytes(1, name.encode()) + _float(2, float(value)))
        for name, value in figures.items()
        if name not in _NOT_CURVES and isinstance(value, (int, float))
    )
    moment = float(str(figures.get("time", 0.0)))
    step = int(str(figures["step"]))
    return _record(_double(1, moment) + _key(2, 0) + _varint(step) + _bytes(5, values))


def _record(data: bytes) -> bytes:
    length = struct.pack("<Q", len(data))
    return length + _masked_crc(length) + data + _masked_crc(data)


def _masked_crc(data: bytes) -> bytes:
    crc = crc32c(data)
    rotated = (crc >> 15 | crc << 17) & 0xFFFFFFFF
    return struct.pack("<I", (rotated + 0xA282EAD8) & 0xFFFFFFFF)


def crc32c(data: bytes) -> int:
    """Return the Castagnoli checksum, which zlib does not offer."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _TABLE[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    return crc ^ 0xFFFFFFFF


def _table_entry(value: int) -> int:
    for _ in range(8):
        value = (value >> 1) ^ (0x82F63B78 if value & 1 else 0)
    return value


_TABLE = tuple(_table_entry(byte) for byte in range(256))


def _key(field: int, wire_type: int) -> bytes:
    return _varint(field << 3 | wire_type)


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _double(field: int, value: float) -> bytes:
    return _key(field, 1) + struct.pack("<d", value)


def _float(field: int, value: float) -> bytes:
    return _key(field, 5) + struct.pack("<f", value)


def _bytes(field: int, value: bytes) -> bytes:
    return _key(field, 2) + _varint(len(value)) + value
