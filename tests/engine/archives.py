"""Zip archives for tests, sound and hostile, and a small dataset in COCO's layout."""

from __future__ import annotations

import io
import json
import stat
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests import factories

Content = Mapping[str, bytes]


def zip_of(files: Content, *, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def link(name: str, target: str) -> bytes:
    """An archive whose only member is a symbolic link."""
    member = zipfile.ZipInfo(name)
    member.create_system = 3
    member.external_attr = (stat.S_IFLNK | 0o777) << 16
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(member, target)
    return buffer.getvalue()


def encrypted(files: Content) -> bytes:
    """An archive whose members say that they are encrypted."""
    data = bytearray(zip_of(files, method=zipfile.ZIP_STORED))
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = data.find(signature)
        while at >= 0:
            data[at + offset] |= 1
            at = data.find(signature, at + 4)
    return bytes(data)


def lying_about_size(name: str, content: bytes, *, claimed_bytes: int) -> bytes:
    """An archive whose headers claim another inflated size than is there."""
    data = bytearray(zip_of({name: content}))
    at = data.find(b"PK\x01\x02")
    data[at + 24 : at + 28] = struct.pack("<L", claimed_bytes)
    data[22:26] = struct.pack("<L", claimed_bytes)
    return bytes(data)


def with_many_entries(num_entries: int) -> bytes:
    """An archive that lists so many files; all share one local header, so it is quickly made."""
    local = struct.pack("<4s5H3L2H", b"PK\x03\x04", 20, 0, 0, 0, 0, 0, 0, 0, 1, 0) + b"a"
    entry = struct.pack(
        "<4s6H3L5H2L", b"PK\x01\x02", 20, 20, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0
    )
    directory = (entry + b"a") * num_entries
    shown = num_entries % 65_536
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, shown, shown, len(directory), len(local), 0)
    return local + directory + end


def coco(images: list[dict[str, Any]], annotations: list[dict[str, Any]]) -> bytes:
    categories = [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}]
    content = {"images": images, "annotations": annotations, "categories": categories}
    return json.dumps(content).encode()


def image_entry(
    number: int, file_name: str, *, width: int = 48, height: int = 32
) -> dict[str, Any]:
    return {"id": number, "file_name": file_name, "width": width, "height": height}


def entry(number: int, image_id: int, segmentation: Any, **more: Any) -> dict[str, Any]:
    given = {"id": number, "image_id": image_id, "category_id": 1, "segmentation": segmentation}
    return {**given, "iscrowd": 0, **more}


def write_folder(root: Path, files: Content) -> Path:
    for name, data in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return root


def photo(seed: int = 0, **size: int) -> bytes:
    return factories.image_bytes(seed=seed, **size)
