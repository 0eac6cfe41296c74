"""Read a picture file as the RGB photo that the model takes, upright and in 8 bits.

For files of the person who runs the command; uploads of strangers are decoded by the platform.
"""

from __future__ import annotations

import math
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp")
FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP")
MAX_PIXELS = 100_000_000
_WHITE = (255, 255, 255, 255)


class PhotoError(ValueError):
    """A file that is not a photo we can read; the message names it and says why."""


def read_photo(path: Path) -> NDArray[np.uint8]:
    """Return the photo as (H, W, 3) uint8, turned as its EXIF orientation says.

    Transparent pixels are laid on white, CMYK and grey become RGB. Whole numbers of more than 8
    bits are divided by the bit depth they use, floats stretched from minimum to maximum: Pillow
    itself would cut both off at 255. Raises PhotoError, before decoding when the header says that
    the photo has more than MAX_PIXELS or several frames.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of sizes we check ourselves, and of odd EXIF
            with Image.open(path, formats=FORMATS) as file:
                _check_header(path, file)
                file.load()
                return np.array(_to_rgb(path, ImageOps.exif_transpose(file)))
    except PhotoError:
        raise
    except UnidentifiedImageError:
        raise PhotoError(f"{path} is not a JPEG, PNG, WebP, TIFF or BMP image") from None
    except Image.DecompressionBombError:
        raise PhotoError(_too_large(path)) from None
    except (FileNotFoundError, IsADirectoryError, PermissionError) as error:
        raise PhotoError(f"{path} cannot be opened: {error.strerror}") from None
    except (OSError, SyntaxError, ValueError, EOFError, LookupError, ArithmeticError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0][:120]
        raise PhotoError(f"{path} is damaged or cut off ({reason})") from None


def _check_header(path: Path, file: Any) -> None:
    width_px, height_px = file.size
    if width_px * height_px > MAX_PIXELS:
        raise PhotoError(_too_large(path))
    # A camera's MPO is a JPEG with extra views behind the photo; the first is the photo.
    if file.format != "MPO" and getattr(file, "n_frames", 1) > 1:
        raise PhotoError(f"{path} is animated or has several pages; only single pictures are read")


def _too_large(path: Path) -> str:
    return f"{path} has more than {MAX_PIXELS // 1_000_000} million pixels; make it smaller first"


def _to_rgb(path: Path, image: Any) -> Any:
    if image.mode.startswith(("I", "F")):
        return _scaled_grey(path, image).convert("RGB")
    if image.mode in {"RGBA", "LA", "PA", "RGBa", "La"} or "transparency" in image.info:
        layer = image.convert("RGBA")
        white = Image.new("RGBA", layer.size, _WHITE)
        return Image.alpha_composite(white, layer).convert("RGB")
    return image.convert("RGB")


def _scaled_grey(path: Path, image: Any) -> Any:
    floats = image.convert("F")
    low, high = floats.getextrema()
    if not (math.isfinite(low) and math.isfinite(high)):
        raise PhotoError(f"{path} holds values that are no numbers")
    if not image.mode.startswith("F") and low >= 0:
        low, high = 0.0, float(2 ** max(int(high).bit_length(), 8) - 1)
    scale = 255.0 / (high - low) if high > low else 0.0
    # In mode F, point() takes only `value * scale + offset`. + 0.5 rounds, as convert() truncates.
    return floats.point(lambda value: value * scale + (0.5 - low * scale)).convert("L")
