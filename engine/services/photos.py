"""Hand untrusted bytes to a limited child process and take back a clean photo."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from engine import image_decode
from engine.domain.errors import InvalidInput

TIMEOUT_S = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Photo:
    """A decoded, oriented 8-bit RGB photo, re-encoded without metadata."""

    width_px: int
    height_px: int
    suffix: str
    photo: bytes
    thumbnail: bytes


def decode_photo(data: bytes, *, file_name: str) -> Photo:
    """Decode bytes of unknown origin. InvalidInput says in a sentence why they are no photo."""
    command = [sys.executable, "-I", str(Path(image_decode.__file__).resolve())]
    try:
        # A fixed command; the file name never reaches it. No environment: no secrets to steal.
        child = subprocess.run(  # noqa: S603
            command, input=data, capture_output=True, timeout=TIMEOUT_S, check=False, env={}
        )
    except subprocess.TimeoutExpired:
        raise InvalidInput(f"{file_name}: it takes too long to decode") from None
    if child.returncode != 0:
        raise InvalidInput(f"{file_name}: it takes too much memory or time to decode")
    line, _, payload = child.stdout.partition(b"\n")
    header = json.loads(line)
    if "refused" in header:
        raise InvalidInput(f"{file_name}: {header['refused']}", code="not_a_photo")
    split = header["photo_bytes"]
    return Photo(
        width_px=header["width_px"],
        height_px=header["height_px"],
        suffix=header["suffix"],
        photo=payload[:split],
        thumbnail=payload[split : split + header["thumbnail_bytes"]],
    )
