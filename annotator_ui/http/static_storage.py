"""Static files with compressed copies that are made once, not at every start.

The WebAssembly runtimes alone take a minute at the default brotli quality.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import brotli
from whitenoise.compress import Compressor
from whitenoise.storage import CompressedStaticFilesStorage

BROTLI_QUALITY = 5  # 9 is seven times slower and a twentieth smaller on the WebAssembly runtimes
SUFFIXES = (".br", ".gz")


class KeepingCompressor(Compressor):  # type: ignore[misc]
    """Leaves copies alone that are as old as their source: a copy takes its source's time."""

    def compress(self, path: str) -> list[str]:
        copies = [Path(path + suffix) for suffix in SUFFIXES]
        current = [str(copy) for copy in copies if copy.exists() and _time(copy) == _time(path)]
        return current or list(super().compress(path))

    @staticmethod
    def compress_brotli(data: bytes) -> bytes:
        return bytes(brotli.compress(data, quality=BROTLI_QUALITY))


def _time(path: str | Path) -> int:
    return int(Path(path).stat().st_mtime)


class StaticStorage(CompressedStaticFilesStorage):  # type: ignore[misc]
    """The `staticfiles` storage of the settings."""

    def create_compressor(self, **kwargs: Any) -> Compressor:
        return KeepingCompressor(**kwargs)
