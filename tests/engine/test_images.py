"""Photos in: hostile and odd files, exact decoding, once each."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as PillowImage

from engine import image_decode, storage
from engine.domain.errors import InvalidInput, NotAllowed
from engine.models import Image, Project
from engine.services.images import images, sandboxed_decode
from engine.services.images.sandboxed_decode import decode_image
from sam.image_files import read_image
from tests import factories

Pixels = Any


def pixels_of(data: bytes) -> Pixels:
    return np.asarray(PillowImage.open(io.BytesIO(data)))


def encoded(image: PillowImage.Image, format: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def refused(data: bytes) -> str:
    with pytest.raises(InvalidInput) as error:
        decode_image(data, file_name="x.jpg")
    return error.value.message


def png_claiming(width_px: int, height_px: int) -> bytes:
    """A tiny PNG whose header claims another size: a decompression bomb's outside."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        crc = struct.pack(">I", zlib.crc32(kind + body))
        return struct.pack(">I", len(body)) + kind + body + crc

    header = struct.pack(">IIBBBBB", width_px, height_px, 8, 2, 0, 0, 0)
    body = chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + body


def test_a_text_file_called_jpg_is_refused_in_a_sentence() -> None:
    with pytest.raises(InvalidInput) as error:
        decode_image(b"hello, I am a text", file_name="text.jpg")
    assert error.value.message == "text.jpg: it is not a JPEG, PNG, WebP, TIFF, BMP or GIF image"


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (png_claiming(30_000, 30_000), "million pixels"),
        (png_claiming(20_000, 10), ": it is 20000 x 10 px; sides must have 8 to 16384 px"),
        (png_claiming(4, 4), ": it is 4 x 4 px; sides"),
        (png_claiming(500, 500), "damaged or cut off"),
        (factories.image_bytes(format="JPEG", width_px=300)[:2000], "damaged or cut off"),
        (b"GIF89a" + b"\0" * 100, "not a JPEG, PNG, WebP, TIFF, BMP or GIF"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not a JPEG, PNG, WebP, TIFF, BMP or GIF"),
        (b"\xff\xd8\xff", "not a JPEG, PNG, WebP, TIFF, BMP or GIF"),
    ],
)
def test_what_is_no_sane_photo_is_refused_in_a_sentence(data: bytes, sentence: str) -> None:
    assert sentence in refused(data)


@pytest.mark.parametrize(
    ("format", "kind"),
    [
        ("PNG", "an animated PNG of 2 frames"),
        ("GIF", "an animated GIF of 2 frames"),
        ("WEBP", "an animated WebP of 2 frames"),
        ("TIFF", "a TIFF file with 2 pages"),
    ],
)
def test_animations_and_many_pages_are_named_and_refused(format: str, kind: str) -> None:
    frames = [PillowImage.new("RGB", (16, 16), (shade, 0, 0)) for shade in (0, 200)]

    data = encoded(frames[0], format, save_all=True, append_images=frames[1:])

    assert refused(data) == (
        f"x.jpg: it is {kind}, and one file is one image: split it into single images first"
    )


def test_sixteen_bit_grey_keeps_its_range() -> None:
    ramp = np.linspace(0, 65_535, 64 * 64).astype(np.uint16).reshape(64, 64)

    decoded = decode_image(encoded(PillowImage.fromarray(ramp)), file_name="deep.png")

    grey = pixels_of(decoded.content)[..., 0]
    assert grey.mean() == pytest.approx(127.5, abs=0.6)
    assert (int(grey.min()), int(grey.max())) == (0, 255)
    assert np.abs(grey - ramp / 257).max() <= 0.51


def test_twelve_bit_grey_in_sixteen_bits_is_not_almost_black() -> None:
    ramp = np.linspace(0, 4095, 32 * 32).astype(np.uint16).reshape(32, 32)

    decoded = decode_image(encoded(PillowImage.fromarray(ramp)), file_name="microscope.png")

    grey = pixels_of(decoded.content)[..., 0]
    assert np.abs(grey - ramp / 4095 * 255).max() <= 0.51


def test_a_hot_pixel_takes_no_grey_levels_from_a_microscope_picture() -> None:
    cells = np.random.default_rng(0).integers(100, 900, (64, 64), dtype=np.uint16)
    hot = cells.copy()
    hot[20, 30] = 65_535

    with_it, without = (
        pixels_of(decode_image(encoded(PillowImage.fromarray(values)), file_name="x").content)
        for values in (hot, cells)
    )

    assert with_it[20, 30].tolist() == [255, 255, 255]
    # The range ends where four pixels of a neighbourhood do: at most 5 % lower than the very end.
    others = np.abs(with_it.astype(int) - without)
    others[20, 30] = 0
    assert others.max() <= 12


def test_what_the_platform_stores_is_what_the_library_reads(tmp_path: Path) -> None:
    values = np.random.default_rng(1).gamma(2.0, 900.0, (40, 60)).astype(np.uint16)
    values[3, 4], values[5, 6] = 65_535, 0
    data = encoded(PillowImage.fromarray(values), "TIFF")
    (tmp_path / "x.tif").write_bytes(data)

    stored = decode_image(data, file_name="x.tif")

    assert np.array_equal(pixels_of(stored.content), read_image(tmp_path / "x.tif"))


def test_float_tiffs_are_stretched() -> None:
    ramp = np.linspace(-3.0, 5.0, 32 * 32, dtype=np.float32).reshape(32, 32)

    decoded = decode_image(encoded(PillowImage.fromarray(ramp), "TIFF"), file_name="depth.tif")

    grey = pixels_of(decoded.content)[..., 0]
    assert (int(grey.min()), int(grey.max())) == (0, 255)


def test_a_rotated_camera_photo_is_turned_once_and_loses_its_metadata() -> None:
    wide = PillowImage.new("RGB", (60, 40), (255, 255, 255))
    wide.paste((255, 0, 0), (0, 0, 30, 40))  # red on the left
    exif = PillowImage.Exif()
    exif[0x0112] = 6  # "turn a quarter clockwise to see it upright"
    exif[0x010F] = "Camera of Ann"

    decoded = decode_image(encoded(wide, "JPEG", exif=exif, quality=95), file_name="phone.jpg")

    assert (decoded.width_px, decoded.height_px) == (40, 60)
    pixels = pixels_of(decoded.content)
    assert pixels.shape == (60, 40, 3)
    assert pixels[5, 20, 1] < 40  # the left became the top
    assert pixels[55, 20, 1] > 200
    assert not PillowImage.open(io.BytesIO(decoded.content)).getexif()
    assert b"Camera of Ann" not in decoded.content


def test_transparency_is_laid_on_white() -> None:
    layer = PillowImage.new("RGBA", (20, 20), (255, 0, 0, 0))
    layer.paste((0, 0, 255, 255), (0, 0, 10, 20))

    decoded = decode_image(encoded(layer), file_name="logo.png")

    pixels = pixels_of(decoded.content)
    assert tuple(pixels[5, 15]) == (255, 255, 255)
    assert tuple(pixels[5, 5]) == (0, 0, 255)


def test_where_everything_is_transparent_the_colours_are_kept() -> None:
    layer = PillowImage.new("RGBA", (20, 20), (255, 0, 0, 0))

    decoded = decode_image(encoded(layer), file_name="export.png")

    assert tuple(pixels_of(decoded.content)[5, 5]) == (255, 0, 0)


@pytest.mark.parametrize("mode", ["L", "P", "1", "LA", "CMYK"])
def test_every_usual_mode_becomes_rgb(mode: str) -> None:
    source = PillowImage.new("RGB", (24, 16), (200, 200, 200)).convert(mode)
    format = "JPEG" if mode == "CMYK" else "PNG"

    decoded = decode_image(encoded(source, format), file_name="odd")

    assert pixels_of(decoded.content).shape == (16, 24, 3)


def test_a_small_lossless_photo_keeps_every_pixel() -> None:
    data = factories.image_bytes(seed=3)

    decoded = decode_image(data, file_name="exact.png")

    assert decoded.suffix == ".png"
    assert np.array_equal(pixels_of(decoded.content), pixels_of(data))
    assert max(PillowImage.open(io.BytesIO(decoded.thumbnail)).size) <= 320


def test_bytes_behind_the_photo_are_dropped() -> None:
    data = factories.image_bytes(format="JPEG") + b"<script>alert(1)</script>PK\x03\x04"

    decoded = decode_image(data, file_name="polyglot.jpg")

    assert b"<script>" not in decoded.content


def test_a_child_that_exceeds_its_limits_is_a_refusal(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    script = tmp_path / "dies.py"
    script.write_text("import os; os.abort()")
    monkeypatch.setattr(image_decode, "__file__", str(script))
    monkeypatch.setattr(sandboxed_decode, "_POOL", sandboxed_decode._Pool())

    assert "too much memory or time" in refused(b"anything")


@pytest.fixture
def project(db: None) -> Project:
    return factories.make_project()


def test_the_same_bytes_are_taken_once(project: Project) -> None:
    data, lead = factories.image_bytes(), project.created_by

    image, created = images.ingest_image(project, data=data, file_name="a.png", actor=lead)
    again, created_again = images.ingest_image(project, data=data, file_name="b.png", actor=lead)

    assert (created, created_again) == (True, False)
    assert again == image
    assert (image.width_px, image.height_px, image.status, image.split) == (48, 32, "ready", "")
    assert storage.local_copy(image.storage_key).is_file()
    assert storage.local_copy(image.thumbnail_key).is_file()


def test_a_new_image_asks_for_its_embedding(project: Project) -> None:
    version = factories.make_version(project)

    image = factories.ingest(project, factories.image_bytes())

    job = project.jobs.get()
    assert (job.kind, job.args) == (
        "embed_image",
        {"image": str(image.pk), "model_version": str(version.pk)},
    )


def test_a_refused_file_leaves_no_row(project: Project) -> None:
    with pytest.raises(InvalidInput):
        factories.ingest(project, b"nothing", file_name="x.png")
    assert Image.objects.count() == 0


@pytest.mark.parametrize(
    ("name", "shown"),
    [("../../etc/passwd", "passwd"), ("C:\\pics\\cat.png", "cat.png"), ("a\x00\nb.png", "a b.png")],
)
def test_file_names_are_only_for_people(project: Project, name: str, shown: str) -> None:
    image = factories.ingest(project, factories.image_bytes(), file_name=name)

    assert image.file_name == shown
    assert shown not in image.storage_key


def test_annotators_do_not_add_images(project: Project) -> None:
    with pytest.raises(NotAllowed):
        images.ingest_image(
            project, data=factories.image_bytes(), file_name="a.png", actor=factories.make_user()
        )


def test_a_file_over_the_limit_is_refused_before_decoding(project: Project, settings: Any) -> None:
    settings.MAX_UPLOAD_BYTES = 1_000

    with pytest.raises(InvalidInput, match="more than 0 MB"):
        factories.ingest(project, factories.image_bytes())
