"""Small objects are prompted in close-ups (`masks.close_ups`): so they are measured and learned.

A photo's record becomes several: the photo with its large objects, and each square that somebody
would look at, with the small ones in it, cropped. Everything downstream treats them as photos.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from masks.boxes import pixels_of
from masks.close_ups import CloseUp, close_up_for
from masks.rle import Rle
from training.data.manifest import ImageRecord, MaskRecord


def look_closer(images: Sequence[ImageRecord], *, max_per_image: int) -> list[ImageRecord]:
    """Return the photos with the masks that are large in them, each followed by its close-ups.

    max_per_image: only so many squares of a photo, those with most masks; the other small masks
    stay with the whole photo. Photos without masks left are not returned.
    """
    records = []
    for image in images:
        whole, by_square = _sorted_masks(image)
        squares = sorted(by_square, key=lambda square: (-len(by_square[square]), square.key))
        kept, left_out = squares[:max_per_image], squares[max_per_image:]
        whole += [mask for square in left_out for mask in by_square[square]]
        if whole:
            records.append(replace(image, masks=tuple(whole)))
        records += [_close_up(image, square, by_square[square]) for square in kept]
    return records


def _sorted_masks(
    image: ImageRecord,
) -> tuple[list[MaskRecord], dict[CloseUp, list[MaskRecord]]]:
    whole: list[MaskRecord] = []
    by_square: dict[CloseUp, list[MaskRecord]] = defaultdict(list)
    for mask in image.masks:
        square = close_up_for(mask.rle.bbox_xywh_px, image_hw=image.image_hw)
        if square is None:
            whole.append(mask)
        else:
            by_square[square].append(mask)
    return whole, by_square


def _close_up(image: ImageRecord, square: CloseUp, masks: Sequence[MaskRecord]) -> ImageRecord:
    square_xywh_px = square.xywh_px(image.image_hw)
    x, y, w, h = square_xywh_px
    cropped = tuple(
        replace(
            mask,
            rle=Rle.encode(mask.rle.decode()[pixels_of(square_xywh_px)]),
            prompts=tuple(_moved(prompt, x_px=x, y_px=y) for prompt in mask.prompts),
        )
        for mask in masks
    )
    return replace(
        image, image_hw=(h, w), close_up_xywh_px=square_xywh_px, features_path=None, masks=cropped
    )


def _moved(prompt: Mapping[str, Any], *, x_px: int, y_px: int) -> dict[str, Any]:
    """Return a stored prompt as seen from the square; what is no number is left as it is."""
    offsets = {"x_px": x_px, "x0_px": x_px, "x1_px": x_px}
    offsets |= {"y_px": y_px, "y0_px": y_px, "y1_px": y_px}
    return {
        name: value - offsets[name]
        if name in offsets and isinstance(value, (int, float))
        else value
        for name, value in prompt.items()
    }
