"""A small COCO folder of images of discs, for replays without any download."""

from __future__ import annotations

import json
from pathlib import Path

from masks.rle import Rle
from tests.workers.disc_images import disc_image


def write_discs(folder: Path, *, num_images: int, first: int = 1) -> Path:
    """Write `images/` and `instances.json`."""
    (folder / "images").mkdir(parents=True)
    images, annotations = [], []
    for number in range(first, first + num_images):
        data, masks = disc_image(number, num_discs=4)
        (folder / "images" / f"{number}.png").write_bytes(data)
        height_px, width_px = masks[0].shape
        images.append(
            {"id": number, "file_name": f"{number}.png", "width": width_px, "height": height_px}
        )
        for mask in masks:
            rle = Rle.encode(mask)
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": number,
                    "category_id": 1,
                    "iscrowd": 0,
                    "area": rle.area_px,
                    "bbox": list(rle.bbox_xywh_px),
                    "segmentation": rle.to_coco(),
                }
            )
    document = {"images": images, "annotations": annotations, "categories": [{"id": 1}]}
    (folder / "instances.json").write_text(json.dumps(document))
    return folder
