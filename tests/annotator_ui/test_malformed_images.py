"""Every broken, hostile or odd image is refused with a reason or becomes a clean image."""

from __future__ import annotations

import io
import os
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from PIL import Image as PillowImage

from engine import image_decode, storage
from engine.models import Image, Project
from engine.services.images import sandboxed_decode
from tests.engine import malformed

pytestmark = [pytest.mark.django_db, pytest.mark.slow]

MAX_GROWTH_MB = 300
MAX_CHILD_S = 5
CASES = list(malformed.corpus())


def resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def test_there_are_over_three_hundred_of_them() -> None:
    assert len(CASES) >= 300
    assert len({name for name, _, _ in CASES}) == len(CASES)


def test_no_upload_crashes_the_server_or_gets_in_wrongly(
    as_lead: Client, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    died: list[str] = []
    decode, before_mb, most_mb, slowest_s = sandboxed_decode.decode_image, resident_mb(), 0.0, 0.0
    asked = 0

    def watched(data: bytes, *, file_name: str) -> sandboxed_decode.DecodedImage:
        nonlocal asked
        asked += 1
        return decode(data, file_name=file_name)

    monkeypatch.setattr("engine.services.images.images.decode_image", watched)
    wrong: list[str] = []
    outcomes: Counter[str] = Counter()
    for name, data, expected in CASES:
        started = time.process_time()
        body = {"file": SimpleUploadedFile(name, data, content_type="image/jpeg")}
        response = as_lead.post(f"/api/v1/projects/{project.slug}/images", body)
        slowest_s = max(slowest_s, time.process_time() - started)
        most_mb = max(most_mb, resident_mb())
        got = {201: "taken", 422: "refused"}.get(response.status_code, str(response.status_code))
        outcomes[got] += 1
        if got not in ("taken", "refused") or expected not in (got, malformed.EITHER):
            wrong.append(f"{name}: {got}, expected {expected}: {response.content[:200]!r}")
        if got == "refused":
            message = response.json()["refused"][0]["message"]
            assert 5 < len(message) < 300, name
            if "too much memory or time" in message:
                died.append(name)
    assert wrong == []
    assert died == []  # a decoder that dies is survived, but none of these should kill it
    assert asked >= 280
    assert most_mb - before_mb < MAX_GROWTH_MB
    assert slowest_s < MAX_CHILD_S
    print(f"{len(CASES)} images: {dict(outcomes)}, memory grew {most_mb - before_mb:.0f} MB")
    check_stored(project)


def check_stored(project: Project) -> None:
    """What got in is an 8-bit RGB photo without a byte of what came along."""
    for image in project.images.all():
        data = storage.read_bytes(image.storage_key)
        assert b"alert(1)" not in data
        assert b"PK\x03\x04" not in data
        with PillowImage.open(io.BytesIO(data)) as decoded:
            decoded.load()
            assert decoded.format in ("JPEG", "PNG")
            assert decoded.mode == "RGB"
            assert decoded.size == (image.width_px, image.height_px)
            assert not decoded.getexif()
            assert not set(decoded.info) & {"icc_profile", "exif", "comment", "xmp"}


def encoded(image: PillowImage.Image, format: str, **options: Any) -> bytes:
    return malformed.encoded(image, format, **options)


@pytest.mark.parametrize("high", [65_535, 51_400, 30_840, 12_850, 5_000])
@pytest.mark.parametrize("format", ["PNG", "TIFF"])
def test_sixteen_bit_grey_is_stretched_true_to_one_level(high: int, format: str) -> None:
    ramp = np.linspace(0, high, 64 * 64).astype(np.uint16).reshape(64, 64)

    decoded = sandboxed_decode.decode_image(
        encoded(PillowImage.fromarray(ramp), format), file_name="x"
    )

    grey = np.asarray(PillowImage.open(io.BytesIO(decoded.content)))[..., 0]
    assert np.abs(grey - ramp / high * 255).max() <= 0.51


def test_sixteen_bit_colour_stays_true_to_one_level() -> None:
    data = next(data for name, data, _ in CASES if name == "deep-rgb.png")

    decoded = sandboxed_decode.decode_image(data, file_name="x")

    values = np.linspace(0, 65_535, 16 * 16 * 3).astype(np.uint16).reshape(16, 16, 3)
    found = np.asarray(PillowImage.open(io.BytesIO(decoded.content))).astype(float)
    assert np.abs(found - values / 257).max() <= 1


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_is_put_upright(orientation: int) -> None:
    """The stored bytes are what a camera saves that was held that way: Pillow's own inverse."""
    turns = {
        1: None,
        2: PillowImage.Transpose.FLIP_LEFT_RIGHT,
        3: PillowImage.Transpose.ROTATE_180,
        4: PillowImage.Transpose.FLIP_TOP_BOTTOM,
        5: PillowImage.Transpose.TRANSPOSE,
        6: PillowImage.Transpose.ROTATE_90,
        7: PillowImage.Transpose.TRANSVERSE,
        8: PillowImage.Transpose.ROTATE_270,
    }
    upright = PillowImage.fromarray(malformed.pixels(1, width=40, height=24))
    turn = turns[orientation]
    held = upright if turn is None else upright.transpose(turn)
    exif = PillowImage.Exif()
    exif[0x0112] = orientation

    decoded = sandboxed_decode.decode_image(encoded(held, "PNG", exif=exif), file_name="x")

    found = np.asarray(PillowImage.open(io.BytesIO(decoded.content)))
    assert np.array_equal(found, np.asarray(upright))


def test_a_decoder_that_eats_memory_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    """The largest photo taken, as the mode that needs most, stays within the child's limit."""
    assert image_decode.MEMORY_BYTES <= 1_600_000_000
    data = encoded(PillowImage.new("RGBA", (8_000, 8_000)), "PNG")

    try:
        sandboxed_decode.decode_image(data, file_name="x")
    except sandboxed_decode.InvalidInput as error:
        assert "memory" in error.message  # noqa: PT017 - either answer is right
    assert Image.objects.count() == 0
