"""COCO instances: `images/` and `annotations.json` with compressed RLE, one category "object".

Written as a stream: no list of all masks is ever in memory.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from engine.exporters import provenance
from engine.exporters.records import ImageRecord, MaskRecord, Records, Written

CATEGORY = {"id": 1, "name": "object", "supercategory": "object"}


def write(records: Records, out_dir: Path) -> Written:
    """Write pictures and one annotations file; boxes are [x, y, w, h] in pixel counts."""
    images_dir = out_dir / "images"
    images_dir.mkdir()
    images_part = out_dir / ".images.part"
    num_images = num_masks = 0
    with (
        (out_dir / "annotations.json").open("w") as annotations,
        images_part.open("w") as images,
        (out_dir / provenance.FILE_NAME).open("w") as sidecar,
    ):
        annotations.write(
            '{"info": {"description": "Segloop export"}, "licenses": [], "categories": '
            f'[{json.dumps(CATEGORY)}], "annotations": ['
        )
        for record in records:
            file_name = f"{record.number:012d}{record.path.suffix}"
            shutil.copyfile(record.path, images_dir / file_name)
            _write_item(images, _image(record, file_name=file_name), is_first=num_images == 0)
            for mask in record.masks:
                item = _annotation(record, mask)
                _write_item(annotations, item, is_first=num_masks == 0)
                num_masks += 1
            provenance.write_lines(sidecar, record)
            num_images += 1
        images.flush()
        annotations.write('], "images": [')
        with images_part.open() as written:
            shutil.copyfileobj(written, annotations)
        annotations.write("]}")
    images_part.unlink()
    return Written(num_images=num_images, num_masks=num_masks)


def _write_item(file: IO[str], item: Mapping[str, Any], *, is_first: bool) -> None:
    file.write(("" if is_first else ",\n") + json.dumps(item))


def _image(record: ImageRecord, *, file_name: str) -> dict[str, Any]:
    return {
        "id": record.number,
        "file_name": file_name,
        "width": record.width_px,
        "height": record.height_px,
    }


def _annotation(record: ImageRecord, mask: MaskRecord) -> dict[str, Any]:
    return {
        "id": mask.number,
        "image_id": record.number,
        "category_id": CATEGORY["id"],
        "segmentation": mask.rle.to_coco(),
        "area": mask.area_px,
        "bbox": list(mask.bbox_xywh_px),
        "iscrowd": 0,
    }
