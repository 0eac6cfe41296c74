"""Over 300 images that are broken, hostile or odd, made from seeds: (name, bytes, expected).

expected: "refused", "taken", or "either" where a decoder may rightly mend what was cut or flipped.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np
from PIL import Image

REFUSED, TAKEN, EITHER = "refused", "taken", "either"
Case = tuple[str, bytes, str]

HTML = b"<html><script>alert(1)</script></html>"
SVG = b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>"


def corpus() -> Iterator[Case]:
    yield from cut_off()
    yield from flipped()
    yield from wrong_kinds()
    yield from lying_headers()
    yield from odd_sizes()
    yield from many_frames()
    yield from bad_metadata()
    yield from polyglots()
    yield from modes()
    yield from bad_chunks()


def pixels(seed: int, *, width: int = 64, height: int = 48, channels: int = 3) -> Any:
    shape = (height, width, channels) if channels > 1 else (height, width)
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def encoded(image: Image.Image, format: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def sound(format: str, seed: int = 0) -> bytes:
    return encoded(Image.fromarray(pixels(seed)), format)


FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF")


def cut_off() -> Iterator[Case]:
    for format in FORMATS:
        data = sound(format)
        for part in range(20):
            yield f"cut-{part}.{format.lower()}", data[: len(data) * part // 20], EITHER


def flipped() -> Iterator[Case]:
    rng = np.random.default_rng(5)
    for format in FORMATS:
        data = sound(format, seed=1)
        for number in range(15):
            broken = bytearray(data)
            where = len(data) if number % 2 else 64  # anywhere, or in the headers
            for _ in range(1 + number):
                broken[int(rng.integers(0, min(where, len(data))))] ^= 1 << int(rng.integers(0, 8))
            yield f"flip-{number}.{format.lower()}", bytes(broken), EITHER


def wrong_kinds() -> Iterator[Case]:
    kinds = {
        "text": b"hello " * 50,
        "html": HTML,
        "svg": SVG,
        "svg-xml": b'<?xml version="1.0"?>' + SVG,
        "pdf": b"%PDF-1.7\n1 0 obj\n<<>>\nendobj\n%%EOF",
        "zip": b"PK\x03\x04" + bytes(60),
        "elf": b"\x7fELF" + bytes(100),
        "eps": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n",
        "psd": b"8BPS\0\x01" + bytes(40),
        "fits": b"SIMPLE  =                    T" + b" " * 2850,
        "heic": b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(60),
        "ico": b"\0\0\x01\0\x01\0\x10\x10\0\0\x01\0\x20\0" + bytes(60),
        "icns": b"icns\0\0\0\x10" + bytes(60),
        "jp2": b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(60),
        "ppm": b"P6\n9 9\n255\n" + bytes(243),
        "pcx": b"\x0a\x05\x01\x08" + bytes(124),
        "tga": bytes(2) + b"\x02" + bytes(60),
        "dds": b"DDS " + bytes(124),
        "wmf": b"\xd7\xcd\xc6\x9a" + bytes(60),
        "gzip": b"\x1f\x8b\x08" + bytes(60),
        "zeros": bytes(4096),
        "noise": np.random.default_rng(3).bytes(4096),
        "nothing": b"",
        "one-byte": b"\xff",
    }
    for name, data in kinds.items():
        yield f"{name}.jpg", data, REFUSED
        yield f"{name}.png", data, REFUSED


def png(
    width: int, height: int, *, depth: int = 8, colour: int = 2, rows: bytes = b"\0" * 1000
) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def chunk(kind: bytes, body: bytes) -> bytes:
    crc = struct.pack(">I", zlib.crc32(kind + body))
    return struct.pack(">I", len(body)) + kind + body + crc


def lying_headers() -> Iterator[Case]:
    for width, height in [
        (60_000, 60_000),
        (12_000, 12_000),
        (2**31 - 1, 2**31 - 1),
        (0, 9),
        (9, 0),
    ]:
        yield f"png-{width}x{height}.png", png(width, height), REFUSED
        yield f"bmp-{width}x{height}.bmp", bmp(width, height), REFUSED
        gif = (
            b"GIF89a" + struct.pack("<HH", width & 0xFFFF, height & 0xFFFF) + b"\x80\0\0" + bytes(6)
        )
        yield f"gif-{width}x{height}.gif", gif + b";", REFUSED
        yield f"tiff-{width}x{height}.tif", tiff(width & 0xFFFF_FFFF, height & 0xFFFF_FFFF), REFUSED
    bomb = zlib.compress(b"\0" * 3_000_000, 9)  # inflates to far more than the picture needs
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 16, 16, 8, 2, 0, 0, 0))
    yield (
        "png-too-much-data.png",
        b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", bomb) + chunk(b"IEND", b""),
        EITHER,
    )
    text = chunk(b"zTXt", b"Comment\0\0" + zlib.compress(b"\0" * 100_000_000, 9))
    yield "png-text-bomb.png", sound("PNG")[:33] + text + sound("PNG")[33:], REFUSED
    profile = chunk(b"iCCP", b"icc\0\0" + zlib.compress(b"\0" * 100_000_000, 9))
    yield "png-profile-bomb.png", sound("PNG")[:33] + profile + sound("PNG")[33:], EITHER
    yield "real-12000x12000.png", encoded(Image.new("1", (12_000, 12_000)), "PNG"), REFUSED
    yield "deep-offset.tif", tiff(64, 48, first_directory=2**31), REFUSED
    yield "loop.tif", tiff(64, 48, next_directory=8), REFUSED


def bmp(width: int, height: int) -> bytes:
    head = struct.pack("<2sIHHI", b"BM", 70, 0, 0, 54)
    info = struct.pack("<IIIHHIIIIII", 40, width, height, 1, 24, 0, 16, 2835, 2835, 0, 0)
    return head + info + bytes(16)


def tiff(width: int, height: int, *, first_directory: int = 8, next_directory: int = 0) -> bytes:
    tags = [
        (256, 4, 1, width),
        (257, 4, 1, height),
        (258, 3, 1, 8),
        (259, 3, 1, 1),
        (262, 3, 1, 1),
        (273, 4, 1, 200),
        (277, 3, 1, 1),
        (278, 4, 1, height),
        (279, 4, 1, 16),
    ]
    entries = b"".join(struct.pack("<HHII", *tag) for tag in tags)
    directory = struct.pack("<H", len(tags)) + entries + struct.pack("<I", next_directory)
    return b"II*\0" + struct.pack("<I", first_directory) + directory + bytes(100)


def odd_sizes() -> Iterator[Case]:
    for width, height in [(1, 1), (7, 64), (64, 7), (1, 65_000), (16_385, 8), (2, 2)]:
        image = Image.new("RGB", (width, height))
        yield f"{width}x{height}.png", encoded(image, "PNG"), REFUSED
    for width, height in [(8, 8), (16_384, 8), (8, 16_384), (8_000, 8_000)]:
        image = Image.new("RGB", (width, height), (9, 99, 200))
        yield f"{width}x{height}.jpg", encoded(image, "JPEG"), TAKEN


def many_frames() -> Iterator[Case]:
    frames = [Image.fromarray(pixels(seed)) for seed in (1, 2, 3)]
    for format in ("GIF", "WEBP", "PNG", "TIFF"):
        data = encoded(frames[0], format, save_all=True, append_images=frames[1:])
        yield f"animated.{format.lower()}", data, REFUSED
    # The second view of a camera's MPO is not the photo.
    yield "views.mpo", encoded(frames[0], "MPO", save_all=True, append_images=frames[1:]), TAKEN


def bad_metadata() -> Iterator[Case]:
    image = Image.fromarray(pixels(4))
    rng = np.random.default_rng(6)
    for number in range(12):
        junk = rng.bytes(int(rng.integers(1, 4000)))
        yield f"exif-{number}.jpg", encoded(image, "JPEG", exif=b"Exif\0\0" + junk), TAKEN
        yield f"icc-{number}.jpg", encoded(image, "JPEG", icc_profile=junk), TAKEN
        yield f"icc-{number}.png", encoded(image, "PNG", icc_profile=junk), TAKEN
        yield f"comment-{number}.jpg", encoded(image, "JPEG", comment=junk), TAKEN
    for orientation in (0, 9, 255, 65_535):
        exif = Image.Exif()
        exif[0x0112] = orientation
        yield f"turned-{orientation}.jpg", encoded(image, "JPEG", exif=exif), TAKEN


def polyglots() -> Iterator[Case]:
    for format in FORMATS:
        tails = {
            "html": HTML,
            "zip": b"PK\x03\x04" + bytes(60),
            "pdf": b"%PDF-1.7",
            "js": b"*/alert(1)",
        }
        for name, tail in tails.items():
            yield f"tail-{name}.{format.lower()}", sound(format) + tail, TAKEN
        yield f"head-html.{format.lower()}", HTML + sound(format), REFUSED
    comment = encoded(Image.fromarray(pixels(8)), "JPEG", comment=HTML)
    yield "comment-html.jpg", comment, TAKEN


def modes() -> Iterator[Case]:
    rgb = Image.fromarray(pixels(9))
    for mode, format in [
        ("1", "PNG"),
        ("L", "PNG"),
        ("LA", "PNG"),
        ("P", "PNG"),
        ("RGBA", "PNG"),
        ("I;16", "PNG"),
        ("CMYK", "JPEG"),
        ("YCbCr", "JPEG"),
        ("L", "JPEG"),
        ("CMYK", "TIFF"),
        ("LAB", "TIFF"),
        ("F", "TIFF"),
        ("I;16", "TIFF"),
        ("1", "TIFF"),
        ("P", "BMP"),
        ("L", "GIF"),
        ("RGBA", "WEBP"),
    ]:
        image = rgb.convert("L").convert("I").convert(mode) if mode == "I;16" else rgb.convert(mode)
        yield f"mode-{mode}.{format.lower()}", encoded(image, format), TAKEN
    clear = Image.fromarray(pixels(10)).convert("P")
    yield "palette-clear.png", encoded(clear, "PNG", transparency=bytes(range(256))), TAKEN
    yield "deep-rgb.png", png(16, 16, depth=16, rows=deep_rows()), TAKEN
    nan = np.full((16, 16), np.nan, np.float32)
    yield "not-a-number.tif", encoded(Image.fromarray(nan), "TIFF"), REFUSED


def deep_rows() -> bytes:
    """A 16 x 16 ramp of 16-bit RGB, as PNG stores it."""
    values = np.linspace(0, 65_535, 16 * 16 * 3).astype(">u2").reshape(16, 48)
    return b"".join(b"\0" + row.tobytes() for row in values)


def bad_chunks() -> Iterator[Case]:
    data = sound("PNG", seed=2)
    signature, header, rest = data[:8], data[8:33], data[33:]
    yield "no-header.png", signature + rest, REFUSED
    yield "two-headers.png", signature + header + header + rest, EITHER
    yield "no-data.png", signature + header + chunk(b"IEND", b""), REFUSED
    wrong = bytearray(data)
    wrong[30] ^= 0xFF
    yield "wrong-crc.png", bytes(wrong), REFUSED
    huge = struct.pack(">I", 0x7FFF_FFFF) + b"tEXt"
    yield "endless-chunk.png", signature + header + huge + rest, REFUSED
    many = chunk(b"tEXt", b"k\0v") * 2_000
    yield "many-chunks.png", signature + header + many + rest, EITHER
    yield "short-palette.png", png(16, 16, colour=3, rows=bytes(17 * 16)), EITHER
    yield "odd-depth.png", png(16, 16, depth=7), REFUSED
    yield "odd-colour.png", png(16, 16, colour=5), REFUSED
    yield "odd-filter.png", png(16, 16, rows=b"\x09" * (49 * 16)), REFUSED
    for marker in (0xC0, 0xC4, 0xDB, 0xDA, 0xE1):
        segment = b"\xff\xd8\xff" + bytes([marker]) + b"\xff\xff" + bytes(50)
        yield f"marker-{marker:02x}.jpg", segment, REFUSED
