"""The layout of SA-1B: `sa_<n>.jpg` or `.png` beside `sa_<n>.json`, extras in provenance.jsonl.

Boxes are [x, y, w, h] with w and h counted in pixels, so x + w is one past the last pixel. (The
released SA-1B counts to the last pixel's index: its w and h are smaller by one.)
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from engine.exporters import provenance
from engine.exporters.records import ImageRecord, MaskRecord, Records, Written


def write(records: Records, out_dir: Path) -> Written:
    """Write one picture and one JSON file an image."""
    num_images = num_masks = 0
    with (out_dir / provenance.FILE_NAME).open("w") as sidecar:
        for record in records:
            file_name = f"sa_{record.number}{record.path.suffix}"
            shutil.copyfile(record.path, out_dir / file_name)
            content = {
                "image": {
                    "image_id": record.number,
                    "width": record.width_px,
                    "height": record.height_px,
                    "file_name": file_name,
                },
                "annotations": [_annotation(mask, image=record) for mask in record.masks],
            }
            (out_dir / f"sa_{record.number}.json").write_text(json.dumps(content))
            provenance.write_lines(sidecar, record)
            num_images += 1
            num_masks += len(record.masks)
    return Written(num_images=num_images, num_masks=num_masks)


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
