"""COCO instances: `images/` and `annotations.json` with compressed RLE.

Category 1 is "object", for masks without a label; labels follow in the order of their names.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import orjson

from engine.exporters import provenance
from engine.exporters.records import Dataset, ImageRecord, MaskRecord, Member

NAME = "coco"
TITLE = "COCO"
DESCRIPTION = "COCO instances: images/ and one annotations.json with compressed run lengths."

UNLABELLED = "object"
IMAGES, ANNOTATIONS = "images.part", "annotations.part"


def members(record: ImageRecord) -> Iterable[Member]:
    """Return the image file."""
    name = f"images/{_file_name(record)}"
    yield Member(name=name, content=record.path, sha256=record.sha256)


def lines(record: ImageRecord, dataset: Dataset) -> Mapping[str, bytes]:
    """Return the image's entry, its annotations (each after a comma) and the sidecar's lines."""
    image = {
        "id": record.number,
        "file_name": _file_name(record),
        "width": record.width_px,
        "height": record.height_px,
    }
    ids = {label: number for number, label in enumerate(_names(dataset), start=1)}
    items = [
        b",\n" + orjson.dumps(_annotation(record, mask, category_id=ids[mask.label or UNLABELLED]))
        for mask in record.masks
    ]
    return {
        IMAGES: b",\n" + orjson.dumps(image),
        ANNOTATIONS: b"".join(items),
        provenance.FILE_NAME: provenance.lines(record),
    }


def whole_files(
    dataset: Dataset, fragments: Mapping[str, Iterator[bytes]]
) -> Iterable[tuple[str, Iterable[bytes]]]:
    """Return the annotations file and the sidecar."""
    yield "annotations.json", _annotations(dataset, fragments)
    yield provenance.FILE_NAME, fragments[provenance.FILE_NAME]


def _annotations(dataset: Dataset, fragments: Mapping[str, Iterator[bytes]]) -> Iterator[bytes]:
    categories = [
        {"id": number, "name": name, "supercategory": "object"}
        for number, name in enumerate(_names(dataset), start=1)
    ]
    yield b'{"info": {"description": "Segloop export"}, "licenses": [], "categories": '
    yield orjson.dumps(categories)
    yield b', "annotations": ['
    yield from _without_first_comma(fragments[ANNOTATIONS])
    yield b'], "images": ['
    yield from _without_first_comma(fragments[IMAGES])
    yield b"]}"


def _without_first_comma(parts: Iterator[bytes]) -> Iterator[bytes]:
    yield next(parts, b",").removeprefix(b",")
    yield from parts


def _names(dataset: Dataset) -> list[str]:
    return [UNLABELLED, *(label for label in dataset.labels if label not in ("", UNLABELLED))]


def _file_name(record: ImageRecord) -> str:
    return f"{record.number:012d}{record.path.suffix}"


def _annotation(record: ImageRecord, mask: MaskRecord, *, category_id: int) -> dict[str, Any]:
    return {
        "id": mask.number,
        "image_id": record.number,
        "category_id": category_id,
        "segmentation": mask.rle.to_coco(),
        "area": mask.area_px,
        "bbox": list(mask.bbox_xywh_px),
        "iscrowd": int((mask.origin or {}).get("iscrowd") or 0),
    }
