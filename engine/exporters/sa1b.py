"""The layout of SA-1B: `sa_000000/sa_<n>.jpg` or `.png` beside `sa_<n>.json`, 1000 a folder.

Boxes are [x, y, w, h] with w and h counted in pixels, so x + w is one past the last pixel. (The
released SA-1B counts to the last pixel's index: its w and h are smaller by one.)
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import orjson

from engine.exporters import provenance
from engine.exporters.records import Dataset, ImageRecord, MaskRecord, Member

IMAGES_PER_FOLDER = 1000


def members(record: ImageRecord) -> Iterable[Member]:
    """Return one picture and one JSON file."""
    folder = f"sa_{(record.number - 1) // IMAGES_PER_FOLDER:06d}"
    file_name = f"sa_{record.number}{record.path.suffix}"
    content = {
        "image": {
            "image_id": record.number,
            "width": record.width_px,
            "height": record.height_px,
            "file_name": file_name,
        },
        "annotations": [_annotation(mask, image=record) for mask in record.masks],
    }
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


def _annotation(mask: MaskRecord, *, image: ImageRecord) -> dict[str, Any]:
    """Return the columns of SA-1B. A mask drawn by a person has scores of 1: nothing doubts it."""
    return {
        "id": mask.number,
        "segmentation": mask.rle.to_coco(),
        "bbox": [float(value) for value in mask.bbox_xywh_px],
        "area": mask.area_px,
        "predicted_iou": 1.0 if mask.predicted_iou is None else mask.predicted_iou,
        "stability_score": 1.0 if mask.stability_score is None else mask.stability_score,
        "crop_box": [0.0, 0.0, float(image.width_px), float(image.height_px)],
        "point_coords": [_prompt_point(mask)],
    }


def _prompt_point(mask: MaskRecord) -> list[float]:
    """The first click inside, else the middle of the box that prompted the mask or bounds it."""
    for prompt in mask.prompts:
        if prompt.get("type") == "point" and prompt.get("label") == 1:
            return [float(prompt["x_px"]), float(prompt["y_px"])]
    for prompt in mask.prompts:
        if prompt.get("type") == "box":
            x_px = (float(prompt["x0_px"]) + float(prompt["x1_px"])) / 2
            return [x_px, (float(prompt["y0_px"]) + float(prompt["y1_px"])) / 2]
    x, y, w, h = mask.bbox_xywh_px
    return [x + w / 2, y + h / 2]
