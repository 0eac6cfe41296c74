"""What people and the model see of an image: 8-bit RGB, whatever mode and depth it came in.

Works on Pillow's decoded images. The limits of size and format belong to those who open files.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

BACKGROUND_RGB = (255, 255, 255)
"""What shows through transparent pixels."""
MAX_OUTLIER_SHARE = 0.001
"""Of all pixels, at each end of the range: what QuPath saturates too. ImageJ saturates 0.35 % in
all, CellPose 1 % at each end, both also where the brightest pixels are objects."""
MIN_OUTLIERS_PX, MAX_OUTLIER_SHARE_OF_SMALL = 50, 0.01
"""A small image has as many hot pixels as a large one: up to 50, but at most 1 %."""
SUPPORT_PX = 4
"""A value counts when so many pixels of its 3 x 3 reach it: a block of 2 x 2, a spot of optics."""
MAX_STRETCH = 2.0
"""The full range is kept unless it is over twice that of what counts: one bit of eight at most."""
_BAND_PX = 1 << 20
"""Pixels converted at once: a second full copy of a large image may not fit into memory."""
_ANIMATED_FORMATS = ("GIF", "WEBP", "PNG")

_Grey = NDArray[Any]


class PixelDataError(ValueError):
    """An image that cannot be one image; the message says why, beginning with "it"."""


def check_single(image: Image.Image) -> None:
    """Raise PixelDataError for animations and files of several pages, before decoding."""
    num_frames = int(getattr(image, "n_frames", 1))
    # A camera's MPO is a JPEG with extra views behind the image; the first is the image.
    if image.format == "MPO" or num_frames == 1:
        return
    name = {"WEBP": "WebP"}.get(str(image.format), str(image.format))
    is_animated = image.format in _ANIMATED_FORMATS
    kind = f"an animated {name} of" if is_animated else f"a {name} file with"
    parts = "frames" if is_animated else "pages"
    raise PixelDataError(
        f"it is {kind} {num_frames} {parts}, and one file is one image: "
        "split it into single images first"
    )


def to_rgb(image: Image.Image) -> Image.Image:
    """Return any decoded image as 8-bit RGB. 8-bit grey and colour keep their values.

    Deeper grey is stretched, as `grey_range` says. Transparency is laid on white, except where
    everything is transparent: then the alpha channel is ignored, for it would leave nothing to see.
    Raises PixelDataError for grey values that are no numbers.
    """
    if image.mode.startswith(("I", "F")):
        return _stretched(image).convert("RGB")
    if image.mode in {"RGBA", "LA", "PA", "RGBa", "La"} or "transparency" in image.info:
        layer = image.convert("RGBA")
        if layer.getchannel("A").getextrema() == (0, 0):
            return layer.convert("RGB")
        background = Image.new("RGBA", layer.size, (*BACKGROUND_RGB, 255))
        return Image.alpha_composite(background, layer).convert("RGB")
    return image.convert("RGB")


def grey_range(image: Image.Image) -> tuple[float, float]:
    """Return the values of deep grey (modes I and F) that become black and white.

    They are the least and the greatest value, but for outliers: a few pixels far beyond the rest
    that stand alone (hot and dead pixels, cosmic rays). Objects of a few pixels, like beads, are
    no outliers. Whole numbers are never pulled further apart than one grey level each, so that
    the noise of an empty image stays noise; those that fit into 8 bits stay as they are. Raises
    PixelDataError for values that are no numbers.
    """
    low, high = _without_outliers(image)
    if image.mode.startswith("F"):
        return low, high
    if low >= 0 and high <= 255:
        return 0.0, 255.0
    return low, max(high, low + 255.0)


def _stretched(image: Image.Image) -> Image.Image:
    low, high = grey_range(image)
    scale = 255.0 / (high - low) if high > low else 0.0
    grey = np.empty((image.height, image.width), dtype=np.uint8)
    for top, values in _bands(image):
        levels = np.clip((values - low) * scale, 0.0, 255.0)
        grey[top : top + len(values)] = np.floor(levels + 0.5)
    return Image.fromarray(grey)


def _without_outliers(image: Image.Image) -> tuple[float, float]:
    """Return the range of the values that count, or the full range where that does as well."""
    high, usual_high = _end_and_usual_end(image, sign=1.0)
    low, usual_low = (-end for end in _end_and_usual_end(image, sign=-1.0))
    if usual_high <= usual_low:  # pixels that stand alone are all there is to see
        return low, high
    widest = MAX_STRETCH * (usual_high - usual_low)
    return (
        low if usual_high - low <= widest else usual_low,
        high if high - usual_low <= widest else usual_high,
    )


def _end_and_usual_end(image: Image.Image, *, sign: float) -> tuple[float, float]:
    """Return the greatest of sign x value, and the greatest that is no outlier.

    Only as many pixels can be outliers as the module's constants say; of these, one counts as far
    as its neighbours reach the same value.
    """
    num_px = image.width * image.height
    num_outliers = min(
        int(num_px * MAX_OUTLIER_SHARE_OF_SMALL),
        max(MIN_OUTLIERS_PX, int(num_px * MAX_OUTLIER_SHARE)),
    )
    largest: _Grey = np.empty(0)
    for _, values in _bands(image):
        signed = sign * values.ravel()
        if not np.isfinite(signed).all():
            raise PixelDataError("it holds values that are no numbers (NaN or infinite)")
        if largest.size > num_outliers:
            signed = signed[signed > largest[0]]
        largest = np.concatenate([largest, signed])
        if largest.size > num_outliers:
            largest = np.partition(largest, -num_outliers - 1)[-num_outliers - 1 :]
    usual = float(largest[0])
    for values in _padded_bands(image):
        usual = max(usual, _supported(sign * values, above=usual))
    return float(largest.max()), usual


def _supported(padded: _Grey, *, above: float) -> float:
    """Return the greatest value above `above` that enough pixels of its 3 x 3 reach, or -inf.

    padded: values with a border of one pixel, NaN outside the image.
    """
    rows, columns = np.nonzero(padded[1:-1, 1:-1] > above)
    around = np.stack([padded[rows + y, columns + x] for y in range(3) for x in range(3)])
    reached = np.sort(np.nan_to_num(around, nan=-np.inf), axis=0)[-SUPPORT_PX]
    return float(reached.max(initial=-np.inf))


def _bands(image: Image.Image) -> Iterator[tuple[int, _Grey]]:
    """Yield the image some rows at a time, as float64, each with its first row."""
    rows = max(1, _BAND_PX // image.width)
    for top in range(0, image.height, rows):
        bottom = min(top + rows, image.height)
        yield top, np.asarray(image.crop((0, top, image.width, bottom)), dtype=np.float64)


def _padded_bands(image: Image.Image) -> Iterator[_Grey]:
    """Yield the same bands with a pixel of border: of the image, and NaN outside it."""
    for top, values in _bands(image):
        bottom = top + len(values)
        padded = np.full((len(values) + 2, image.width + 2), np.nan)
        padded[1:-1, 1:-1] = values
        for row, y in ((0, top - 1), (-1, bottom)):
            if 0 <= y < image.height:
                padded[row, 1:-1] = np.asarray(image.crop((0, y, image.width, y + 1)))[0]
        yield padded
