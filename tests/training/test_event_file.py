"""TensorBoard's event file, read back with a reader of its published layout."""

from __future__ import annotations

import struct

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from training.loop.event_file import crc32c, event_bytes, start_bytes


def event_class():
    """Build tensorflow's Event message, as far as scalars need it (core/util/event.proto)."""
    kind = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="event.proto", syntax="proto3")
    value = file.message_type.add(name="Value")
    value.field.add(name="tag", number=1, type=kind.TYPE_STRING, label=kind.LABEL_OPTIONAL)
    value.field.add(name="simple_value", number=2, type=kind.TYPE_FLOAT, label=kind.LABEL_OPTIONAL)
    summary = file.message_type.add(name="Summary")
    summary.field.add(
        name="value",
        number=1,
        type=kind.TYPE_MESSAGE,
        type_name=".Value",
        label=kind.LABEL_REPEATED,
    )
    event = file.message_type.add(name="Event")
    one = kind.LABEL_OPTIONAL
    event.field.add(name="wall_time", number=1, type=kind.TYPE_DOUBLE, label=one)
    event.field.add(name="step", number=2, type=kind.TYPE_INT64, label=one)
    event.field.add(name="file_version", number=3, type=kind.TYPE_STRING, label=one)
    event.field.add(
        name="summary", number=5, type=kind.TYPE_MESSAGE, type_name=".Summary", label=one
    )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("Event"))


def records(data: bytes) -> list[bytes]:
    found = []
    while data:
        (length,) = struct.unpack("<Q", data[:8])
        body = data[12 : 12 + length]
        for part, at in ((data[:8], 8), (body, 12 + length)):
            crc = crc32c(part)
            masked = ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
            assert struct.unpack("<I", data[at : at + 4]) == (masked,)
        found.append(body)
        data = data[16 + length :]
    return found


def test_the_checksum_is_castagnoli_s() -> None:
    assert crc32c(b"123456789") == 0xE3069283  # the check value of RFC 3720's polynomial
    assert crc32c(bytes(32)) == 0x8A9136AA  # RFC 3720, B.4: 32 bytes of zeros


def test_figures_come_back_as_scalars_of_their_step() -> None:
    data = start_bytes() + event_bytes({"time": 5.5, "step": 300, "loss": 0.25, "note": "text"})

    first, second = (event_class().FromString(body) for body in records(data))

    assert first.file_version == "brain.Event:2"
    assert (second.wall_time, second.step) == (5.5, 300)
    assert [(v.tag, v.simple_value) for v in second.summary.value] == [("loss", 0.25)]
    assert first.wall_time == pytest.approx(0.0)
