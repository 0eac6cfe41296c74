"""Check masks from outside, and turn them into columns. A client's own numbers are never taken."""

from __future__ import annotations

from typing import Any

from engine.domain.errors import InvalidInput
from engine.domain.limits import MAX_RLE_CHARACTERS
from engine.models import Image
from masks.rle import Rle, RleError


def checked_rle(rle: Rle, *, image: Image) -> Rle:
    """Return the mask in canonical form. InvalidInput: other size, malformed, empty, too long."""
    if len(rle.counts) > MAX_RLE_CHARACTERS:
        raise InvalidInput(
            f"the mask's outline is too ragged: its code has {len(rle.counts)} characters, "
            f"at most {MAX_RLE_CHARACTERS} are taken",
            code="mask_too_ragged",
        )
    try:
        checked = Rle.from_coco(rle.to_coco(), image_hw=(image.height_px, image.width_px))
    except RleError as error:
        raise InvalidInput(f"rle: {error}", code="invalid_rle") from None
    if checked.area_px == 0:
        raise InvalidInput("the mask is empty", code="empty_mask")
    return checked


def shape_columns(rle: Rle) -> dict[str, Any]:
    """Return the columns of MaskRevision that hold the shape."""
    x_px, y_px, w_px, h_px = rle.bbox_xywh_px
    return {
        "rle_counts": rle.counts,
        "rle_sha256": rle.sha256,
        "area_px": rle.area_px,
        "bbox_x_px": x_px,
        "bbox_y_px": y_px,
        "bbox_w_px": w_px,
        "bbox_h_px": h_px,
    }


def rle_of(counts: str, *, image: Image) -> Rle:
    """Return a stored shape as a mask of its image."""
    return Rle(image.height_px, image.width_px, counts)
