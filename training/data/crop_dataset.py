"""Small objects are measured and learned in crops (`masks.crops`), as they are prompted.

An image's record becomes several: the whole image with its large objects, and each crop with the
small objects in it. Everything downstream treats these records as images.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from masks.boxes import pixels_of
from masks.crops import Crop, crop_for
from masks.rle import Rle
from training.data.manifest import ImageRecord, MaskRecord


def add_crops(images: Sequence[ImageRecord], *, max_per_image: int) -> list[ImageRecord]:
    """Return the images with the masks that are large in them, each followed by its crops.

    Args:
        images: records of whole images.
        max_per_image: keep this many crops of an image, those with most masks; the other small
            masks stay with the whole image.

    Returns:
        The records in order; images without masks left are dropped.
    """
    records = []
    for image in images:
        whole, by_crop = _group_by_crop(image)
        crops = sorted(by_crop, key=lambda crop: (-len(by_crop[crop]), crop.key))
        kept, left_out = crops[:max_per_image], crops[max_per_image:]
        whole += [mask for crop in left_out for mask in by_crop[crop]]
        if whole:
            records.append(replace(image, masks=tuple(whole)))
        records += [_crop_record(image, crop, by_crop[crop]) for crop in kept]
    return records


def _group_by_crop(
    image: ImageRecord,
) -> tuple[list[MaskRecord], dict[Crop, list[MaskRecord]]]:
    whole: list[MaskRecord] = []
    by_crop: dict[Crop, list[MaskRecord]] = defaultdict(list)
    for mask in image.masks:
        crop = crop_for(mask.rle.bbox_xywh_px, image_hw=image.image_hw)
        if crop is None:
            whole.append(mask)
        else:
            by_crop[crop].append(mask)
    return whole, by_crop


def _crop_record(image: ImageRecord, crop: Crop, masks: Sequence[MaskRecord]) -> ImageRecord:
    crop_xywh_px = crop.xywh_px(image.image_hw)
    x, y, w, h = crop_xywh_px
    cropped = tuple(
        replace(
            mask,
            rle=Rle.encode(mask.rle.decode()[pixels_of(crop_xywh_px)]),
            prompts=tuple(_shifted(prompt, x_px=x, y_px=y) for prompt in mask.prompts),
        )
        for mask in masks
    )
    return replace(
        image, image_hw=(h, w), crop_xywh_px=crop_xywh_px, features_path=None, masks=cropped
    )


def _shifted(prompt: Mapping[str, Any], *, x_px: int, y_px: int) -> dict[str, Any]:
    """Return a stored prompt in the crop's frame; values that are no numbers are kept."""
    offsets = {"x_px": x_px, "x0_px": x_px, "x1_px": x_px}
    offsets |= {"y_px": y_px, "y0_px": y_px, "y1_px": y_px}
    return {
        name: value - offsets[name]
        if name in offsets and isinstance(value, (int, float))
        else value
        for name, value in prompt.items()
    }
