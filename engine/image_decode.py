"""Decode untrusted images, each in a process of its own: bytes on stdin, clean image on stdout.

Run as a script in isolated mode by sandboxed_decode.py. No Django or secrets, little memory; of our
packages only masks/rgb.py, which tells how any mode and depth becomes 8-bit RGB.
A request is its length (8 bytes) and the image's bytes. The server, which never looks into them,
forks a child for each: decoders are loaded once, but what an image does to its process dies there.
An answer is its length (8 bytes, 0 when the child died), one line of JSON, the image's bytes, then
the thumbnail's.
"""

from __future__ import annotations

import io
import json
import os
import select
import signal
import struct
import sys
import time
import warnings
from pathlib import Path
from typing import IO, Any

FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF")
FORMAT_NAMES = "JPEG, PNG, WebP, TIFF, BMP or GIF"
MAX_PIXELS = 64_000_000
MIN_SIDE_PX, MAX_SIDE_PX = 8, 16_384
MAX_LOSSLESS_PIXELS = 4_000_000
"""Larger images are kept as JPEG: a 64-megapixel PNG takes ten seconds and 100 MB."""
LOSSLESS_FORMATS = ("PNG", "TIFF", "BMP", "GIF")
JPEG_QUALITY = 95
THUMBNAIL_SIDE_PX = 320
MEMORY_BYTES = 1_600_000_000
CPU_S = 30
WALL_S = 60
MAX_ANSWER_BYTES = 256 << 20


class RefusedImageError(Exception):
    """The bytes are not an image we take; the message says why."""


def limit_this_process() -> None:
    """Bound memory, processor time and written files, where the system knows such limits."""
    try:
        import resource
    except ImportError:  # Windows
        return
    for what, amount in (
        (resource.RLIMIT_AS, MEMORY_BYTES),
        (resource.RLIMIT_CPU, CPU_S),
        (resource.RLIMIT_FSIZE, 0),
    ):
        try:
            resource.setrlimit(what, (amount, amount))
        except (ValueError, OSError):  # macOS knows no address space limit
            continue


def decode(data: bytes) -> tuple[dict[str, Any], bytes, bytes]:
    """Return the facts, the image and its thumbnail, both re-encoded from pixels alone."""
    from PIL import Image, ImageOps, UnidentifiedImageError

    from masks.rgb import PixelDataError, to_rgb

    Image.MAX_IMAGE_PIXELS = MAX_PIXELS
    warnings.simplefilter("error", Image.DecompressionBombWarning)
    try:
        image: Any = Image.open(io.BytesIO(data), formats=FORMATS)
        check_header(image)
        source_format = str(image.format)
        image.load()
        image = ImageOps.exif_transpose(image)  # once, before any coordinate exists
        rgb = to_rgb(image)
    except UnidentifiedImageError:
        raise RefusedImageError(f"it is not a {FORMAT_NAMES} image") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise RefusedImageError(
            f"it has more than {MAX_PIXELS // 1_000_000} million pixels"
        ) from None
    except PixelDataError as error:
        raise RefusedImageError(str(error)) from None
    except (RefusedImageError, MemoryError):
        raise
    except Exception as error:  # decoders raise whatever their arithmetic trips over
        raise RefusedImageError(f"it is damaged or cut off ({first_line(error)})") from None
    lossless = source_format in LOSSLESS_FORMATS and rgb.width * rgb.height <= (MAX_LOSSLESS_PIXELS)
    thumbnail = rgb.copy()
    thumbnail.thumbnail((THUMBNAIL_SIDE_PX, THUMBNAIL_SIDE_PX))
    facts = {
        "width_px": rgb.width,
        "height_px": rgb.height,
        "suffix": ".png" if lossless else ".jpg",
    }
    return facts, encoded(rgb, lossless=lossless), encoded(thumbnail, lossless=False, quality=85)


def check_header(image: Any) -> None:
    """Refuse by what the header says, before a pixel is decoded."""
    from masks.rgb import check_single

    width_px, height_px = image.size
    if width_px * height_px > MAX_PIXELS:
        raise RefusedImageError(f"it has more than {MAX_PIXELS // 1_000_000} million pixels")
    if min(image.size) < MIN_SIDE_PX or max(image.size) > MAX_SIDE_PX:
        raise RefusedImageError(
            f"it is {width_px} x {height_px} px; sides must have {MIN_SIDE_PX} to {MAX_SIDE_PX} px"
        )
    check_single(image)


def encoded(image: Any, *, lossless: bool, quality: int = JPEG_QUALITY) -> bytes:
    """Encode pixels only; whatever else the file carried is gone."""
    from PIL import Image

    bare = Image.frombytes(image.mode, image.size, image.tobytes())
    buffer = io.BytesIO()
    if lossless:
        bare.save(buffer, "PNG", compress_level=4)
    else:
        bare.save(buffer, "JPEG", quality=quality, subsampling=0)
    return buffer.getvalue()


def first_line(error: BaseException) -> str:
    """Return a short description of the decoder's complaint."""
    return (str(error).splitlines() or [type(error).__name__])[0][:120]


def answer_to(data: bytes) -> bytes:
    """Return the answer to one image; a refusal is an answer, anything worse is a dead process."""
    rgb = thumbnail = b""
    facts: dict[str, Any]
    try:
        facts, rgb, thumbnail = decode(data)
    except RefusedImageError as refusal:
        facts = {"refused": str(refusal)}
    except MemoryError:
        facts = {"refused": "it needs too much memory to decode"}
    header = {**facts, "image_bytes": len(rgb), "thumbnail_bytes": len(thumbnail)}
    return json.dumps(header).encode() + b"\n" + rgb + thumbnail


def answer_of_child(data: bytes) -> bytes:
    """Fork a child with limits for one image and take its answer; empty when it dies of them."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.close(reader)
            limit_this_process()
            with os.fdopen(writer, "wb") as pipe:
                pipe.write(answer_to(data))
            status = 0
        finally:
            os._exit(status)  # never back into the server's loop
    os.close(writer)
    answer = _read_until(reader, deadline_s=time.monotonic() + WALL_S)
    os.close(reader)
    if answer is None:
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    return answer if answer is not None and status == 0 else b""


def _read_until(descriptor: int, *, deadline_s: float) -> bytes | None:
    """Read to the end of the pipe; None when that takes too long or is too much."""
    chunks: list[bytes] = []
    num_bytes = 0
    while (left_s := deadline_s - time.monotonic()) > 0 and num_bytes <= MAX_ANSWER_BYTES:
        if not select.select([descriptor], [], [], left_s)[0]:
            break
        chunk = os.read(descriptor, 1 << 20)
        if not chunk:
            return b"".join(chunks)
        chunks.append(chunk)
        num_bytes += len(chunk)
    return None


def serve(requests: IO[bytes], answers: IO[bytes]) -> None:
    """Answer images until the other side is gone."""
    load_decoders()
    while len(head := requests.read(8)) == 8:
        (num_bytes,) = struct.unpack(">Q", head)
        data = requests.read(num_bytes)
        if len(data) < num_bytes:
            return
        answer = answer_of_child(data)
        del data
        answers.write(struct.pack(">Q", len(answer)) + answer)
        answers.flush()


def load_decoders() -> None:
    """Import now what every child would else import again."""
    from PIL import (  # noqa: F401
        BmpImagePlugin,
        GifImagePlugin,
        ImageOps,
        JpegImagePlugin,
        MpoImagePlugin,
        PngImagePlugin,
        TiffImagePlugin,
        WebPImagePlugin,
    )

    import masks.rgb  # noqa: F401


if __name__ == "__main__":
    # Isolated mode finds installed packages only; they go before ours.
    sys.path.append(str(Path(__file__).resolve().parent.parent))
    serve(sys.stdin.buffer, sys.stdout.buffer)
