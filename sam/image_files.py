"""Read an image file as the RGB image that the model takes, upright and in 8 bits.

For files of the person who runs the command; uploads of strangers are decoded by the platform.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from masks.rgb import PixelDataError, check_single, to_rgb

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp", ".gif")
FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF")
MAX_PIXELS = 100_000_000


class ImageError(ValueError):
    """A file that is not an image we can read; the message names it and says why."""


def read_image(path: Path) -> NDArray[np.uint8]:
    """Return the image as (H, W, 3) uint8, turned as its EXIF orientation says.

    Other modes and depths become 8-bit RGB as masks/rgb.py says. Raises ImageError, before decoding
    when the header says that the image has more than MAX_PIXELS or several frames.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of sizes we check ourselves, and of odd EXIF
            with Image.open(path, formats=FORMATS) as file:
                _check_header(path, file)
                file.load()
                return np.array(to_rgb(ImageOps.exif_transpose(file)))
    except ImageError:
        raise
    except PixelDataError as error:
        raise ImageError(f"{path}: {error}") from None
    except UnidentifiedImageError:
        raise ImageError(f"{path} is not a JPEG, PNG, WebP, TIFF, BMP or GIF image") from None
    except Image.DecompressionBombError:
        raise ImageError(_too_large(path)) from None
    except (FileNotFoundError, IsADirectoryError, PermissionError) as error:
        raise ImageError(f"{path} cannot be opened: {error.strerror}") from None
    except (OSError, SyntaxError, ValueError, EOFError, LookupError, ArithmeticError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0][:120]
        raise ImageError(f"{path} is damaged or cut off ({reason})") from None


def _check_header(path: Path, file: Any) -> None:
    width_px, height_px = file.size
    if width_px * height_px > MAX_PIXELS:
        raise ImageError(_too_large(path))
    check_single(file)


def _too_large(path: Path) -> str:
    return f"{path} has more than {MAX_PIXELS // 1_000_000} million pixels; make it smaller first"
