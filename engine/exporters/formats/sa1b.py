"""The layout of SA-1B: `sa_000000/sa_<n>.jpg` or `.png` beside `sa_<n>.json`, 1000 a folder.

The document itself is written by masks/sa1b.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import orjson

from engine.exporters import provenance
from engine.exporters.records import Dataset, ImageRecord, MaskRecord, Member
from masks.sa1b import Sa1bMask, annotation_file

NAME = "sa1b"
TITLE = "SA-1B"
DESCRIPTION = "The layout of SA-1B: each image beside a JSON file of its masks, 1000 a folder."

IMAGES_PER_FOLDER = 1000


def members(record: ImageRecord) -> Iterable[Member]:
    """Return one image file and one JSON file."""
    folder = f"sa_{(record.number - 1) // IMAGES_PER_FOLDER:06d}"
    file_name = f"sa_{record.number}{record.path.suffix}"
    content = annotation_file(
        (_columns(mask, image=record) for mask in record.masks),
        image_id=record.number,
        file_name=file_name,
        image_hw=(record.height_px, record.width_px),
    )
    yield Member(name=f"{folder}/{file_name}", content=record.path, sha256=record.sha256)
    yield Member(name=f"{folder}/sa_{record.number}.json", content=orjson.dumps(content))


def lines(record: ImageRecord, dataset: Dataset) -> Mapping[str, bytes]:
    """Return the lines of the sidecar."""
    return {provenance.FILE_NAME: provenance.lines(record)}


def whole_files(
    dataset: Dataset, fragments: Mapping[str, Iterator[bytes]]
) -> Iterable[tuple[str, Iterable[bytes]]]:
    """Return the sidecar."""
    yield provenance.FILE_NAME, fragments[provenance.FILE_NAME]


def _columns(mask: MaskRecord, *, image: ImageRecord) -> Sa1bMask:
    """Return the columns of SA-1B. A mask drawn by a person has scores of 1: nothing doubts it."""
    return Sa1bMask(
        number=mask.number,
        rle=mask.rle,
        area_px=mask.area_px,
        bbox_xywh_px=mask.bbox_xywh_px,
        predicted_iou=1.0 if mask.predicted_iou is None else mask.predicted_iou,
        stability_score=1.0 if mask.stability_score is None else mask.stability_score,
        crop_box_xywh_px=(0, 0, image.width_px, image.height_px),
        point_xy_px=_prompt_point(mask),
    )


def _prompt_point(mask: MaskRecord) -> tuple[float, float]:
    """The first click inside, else the middle of the box that prompted the mask or bounds it."""
    for prompt in mask.prompts:
        if prompt.get("type") == "point" and prompt.get("label") == 1:
            return float(prompt["x_px"]), float(prompt["y_px"])
    for prompt in mask.prompts:
        if prompt.get("type") == "box":
            x_px = (float(prompt["x0_px"]) + float(prompt["x1_px"])) / 2
            return x_px, (float(prompt["y0_px"]) + float(prompt["y1_px"])) / 2
    x, y, w, h = mask.bbox_xywh_px
    return x + w / 2, y + h / 2
