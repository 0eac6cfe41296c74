from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sam.image_files import MAX_PIXELS, ImageError, read_image

GREY = np.arange(0, 240, 10, dtype=np.uint8).reshape(4, 6)


def saved(folder: Path, image: Image.Image, name: str = "image.png", **options: object) -> Path:
    image.save(folder / name, **options)
    return folder / name


@pytest.mark.parametrize("orientation", range(1, 9))
def test_an_image_comes_upright_whatever_its_orientation(tmp_path: Path, orientation: int) -> None:
    upright = np.stack([GREY] * 3, -1)
    undo = {  # how the camera stored it
        1: lambda a: a,
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: lambda a: a.swapaxes(0, 1),
        6: lambda a: np.rot90(a, 1),
        7: lambda a: np.rot90(a, 2).swapaxes(0, 1),
        8: lambda a: np.rot90(a, -1),
    }
    stored = Image.fromarray(np.ascontiguousarray(undo[orientation](upright)))
    exif = Image.Exif()
    exif[0x0112] = orientation

    pixels = read_image(saved(tmp_path, stored, exif=exif))

    assert np.array_equal(pixels, upright)


@pytest.mark.parametrize("suffix", ["png", "tif", "bmp", "webp", "jpg"])
def test_grey_and_palette_images_become_rgb(tmp_path: Path, suffix: str) -> None:
    grey = Image.fromarray(np.full((20, 30), 77, dtype=np.uint8))
    options = {"lossless": True} if suffix == "webp" else {}

    pixels = read_image(saved(tmp_path, grey, f"grey.{suffix}", **options))

    assert pixels.shape == (20, 30, 3)
    assert pixels.dtype == np.uint8
    assert np.abs(pixels.astype(int) - 77).max() <= 1
    if suffix in {"png", "tif", "bmp"}:
        palette = saved(tmp_path, grey.convert("P"), f"palette.{suffix}")
        assert (read_image(palette) == 77).all()
        assert set(np.unique(read_image(saved(tmp_path, grey.convert("1"), f"b.{suffix}")))) <= {
            0,
            255,
        }


def test_transparent_pixels_are_laid_on_white(tmp_path: Path) -> None:
    rgba = np.zeros((2, 2, 4), dtype=np.uint8)
    rgba[0, 0] = (200, 0, 0, 255)
    rgba[0, 1] = (200, 0, 0, 0)
    rgba[1, 0] = (0, 0, 0, 128)

    pixels = read_image(saved(tmp_path, Image.fromarray(rgba)))

    assert pixels[0].tolist() == [[200, 0, 0], [255, 255, 255]]
    assert pixels[1, 0].tolist() == [127, 127, 127]
    grey = Image.fromarray(rgba[..., [0, 3]], "LA")
    assert read_image(saved(tmp_path, grey, "la.png"))[0, 1].tolist() == [255, 255, 255]


def test_deep_grey_keeps_its_range_instead_of_turning_white(tmp_path: Path) -> None:
    full = np.linspace(0, 65_535, 256).astype(np.uint16).reshape(16, 16)
    twelve_bits = (full // 16).astype(np.uint16)

    for values in (full, twelve_bits):
        pixels = read_image(saved(tmp_path, Image.fromarray(values)))
        expected = np.round(values * (255 / (65_535 if values is full else 4_095)))
        assert np.abs(pixels[..., 0] - expected).max() <= 1
    floats = Image.fromarray(np.array([[-1.0, 0.0, 1.0]], dtype=np.float32))
    assert read_image(saved(tmp_path, floats, "f.tif"))[0, :, 1].tolist() == [0, 128, 255]


def test_a_print_image_in_cmyk_becomes_rgb(tmp_path: Path) -> None:
    cmyk = Image.new("CMYK", (8, 8), (0, 255, 255, 0))

    pixels = read_image(saved(tmp_path, cmyk, "cmyk.jpg", quality=100))

    assert pixels[4, 4, 0] > 240
    assert pixels[4, 4, 1:].max() < 15


def png_header(width: int, height: int) -> bytes:
    body = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    start = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + body
    return start + struct.pack(">I", zlib.crc32(body)) + struct.pack(">I", 1000) + b"IDATcut"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is not a JPEG, PNG"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "is not a JPEG, PNG"),
        (b"\x89PNG\r\n\x1a\n", "not a JPEG, PNG|damaged"),
        (png_header(20, 20), "is damaged or cut off"),
        (png_header(10_001, 10_000), "more than 100 million pixels"),
        (png_header(60_000, 60_000), "more than 100 million pixels"),
    ],
)
def test_a_file_that_is_no_image_is_refused_by_name(
    tmp_path: Path, content: bytes, message: str
) -> None:
    path = tmp_path / "given.png"
    path.write_bytes(content)

    with pytest.raises(ImageError, match=message) as caught:
        read_image(path)

    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert MAX_PIXELS >= 60_000_000


def test_cut_off_missing_and_animated_files_are_refused(tmp_path: Path) -> None:
    noise = Image.fromarray(np.random.default_rng(1).integers(0, 255, (60, 60, 3), np.uint8))
    jpeg = saved(tmp_path, noise, "cut.jpg")
    jpeg.write_bytes(jpeg.read_bytes()[:-900])
    more = {"save_all": True, "append_images": [noise.rotate(90)]}
    animation, pages = (saved(tmp_path, noise, name, **more) for name in ("a.webp", "p.tif"))

    for path, message in (
        (jpeg, "damaged or cut off"),
        (animation, "an animated WebP of 2 frames, .* split it into single images"),
        (pages, "a TIFF file with 2 pages, .* split it into single images"),
        (tmp_path / "nowhere.jpg", "cannot be opened: No such file"),
        (tmp_path, "cannot be opened"),
    ):
        with pytest.raises(ImageError, match=message) as caught:
            read_image(path)
        assert str(caught.value).startswith(str(path))
