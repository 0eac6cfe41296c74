"""SA-1B's annotation file: the JSON document that lies beside each image.

Boxes are [x, y, w, h] with w and h counted in pixels, so x + w is one past the last pixel. (The
released SA-1B counts to the last pixel's index: its w and h are smaller by one.)
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from masks.rle import Rle


@dataclass(frozen=True, slots=True, kw_only=True)
class Sa1bMask:
    """One mask with the columns of SA-1B. Pixels and boxes are those of the whole image.

    crop_box_xywh_px: the part of the image that the model saw.
    """

    number: int
    rle: Rle
    area_px: int
    bbox_xywh_px: tuple[float, float, float, float]
    predicted_iou: float
    stability_score: float
    crop_box_xywh_px: tuple[float, float, float, float]
    point_xy_px: tuple[float, float]


def annotation_file(
    masks: Iterable[Sa1bMask], *, image_id: int, file_name: str, image_hw: tuple[int, int]
) -> dict[str, Any]:
    """Return the document of one image, ready for a JSON encoder."""
    return {
        "image": {
            "image_id": image_id,
            "width": image_hw[1],
            "height": image_hw[0],
            "file_name": file_name,
        },
        "annotations": [_annotation(mask) for mask in masks],
    }


def is_annotation_file(document: Any) -> bool:
    """Tell whether parsed JSON is the annotation file of one image."""
    match document:
        case {"image": dict(), "annotations": list()}:
            return True
    return False


def _annotation(mask: Sa1bMask) -> dict[str, Any]:
    return {
        "id": mask.number,
        "segmentation": mask.rle.to_coco(),
        "bbox": [float(value) for value in mask.bbox_xywh_px],
        "area": mask.area_px,
        "predicted_iou": mask.predicted_iou,
        "stability_score": mask.stability_score,
        "crop_box": [float(value) for value in mask.crop_box_xywh_px],
        "point_coords": [[float(value) for value in mask.point_xy_px]],
    }
