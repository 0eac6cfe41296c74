"""COCO run-length codes of binary masks: encode, decode, and check what others hand in.

The string code is COCO's (column-major runs, first run is background, six bits a character).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

MAX_PIXELS = 1 << 28  # 268 megapixels: a tiny code must not make us allocate without bound
_MAX_CHARACTERS = 7  # a 32-bit signed difference needs at most seven groups of five bits

Runs = NDArray[np.int64]


class RleError(ValueError):
    """A run-length code that is malformed; the message says what is wrong and where."""


@dataclass(frozen=True, slots=True)
class Rle:
    """An exact binary mask as COCO compressed RLE (column-major)."""

    height_px: int
    width_px: int
    counts: str

    @classmethod
    def encode(cls, mask_hw: NDArray[Any]) -> Rle:
        """Encode a (H, W) mask of bool or 0/1 values.

        Raises RleError when the array has another rank, is empty or holds other values.
        """
        mask_hw = np.asarray(mask_hw)
        if mask_hw.ndim != 2:
            raise RleError(f"a mask has two axes (height, width), this array has {mask_hw.ndim}")
        height_px, width_px = mask_hw.shape
        _check_size(height_px, width_px)
        if mask_hw.dtype != np.bool_:
            as_bool = mask_hw.astype(np.bool_)
            if not np.array_equal(as_bool, mask_hw):
                raise RleError("a mask holds only 0 and 1")
            mask_hw = as_bool
        return cls(height_px, width_px, counts_to_string(_runs_of(mask_hw)))

    @classmethod
    def from_coco(cls, obj: Mapping[str, Any], *, image_hw: tuple[int, int] | None = None) -> Rle:
        """Read a foreign COCO RLE, compressed (str, bytes) or not (list of runs).

        image_hw: when given, the size must equal it. The result is in canonical form: no empty run
        but the first. Raises RleError.
        """
        if not isinstance(obj, Mapping) or "size" not in obj or "counts" not in obj:
            raise RleError('an RLE is an object with "size" and "counts"')
        height_px, width_px = _read_size(obj["size"])
        if image_hw is not None and (height_px, width_px) != tuple(image_hw):
            raise RleError(
                f"the mask is {height_px} x {width_px} px (height x width) "
                f"but the image is {image_hw[0]} x {image_hw[1]} px"
            )
        counts = obj["counts"]
        num_pixels = height_px * width_px
        max_runs = 2 * num_pixels + 2  # others may write empty runs between
        if isinstance(counts, str | bytes):
            runs = string_to_counts(counts, max_runs=max_runs)
        else:
            runs = _read_run_list(counts, max_runs=max_runs)
        _check_runs(runs, num_pixels=num_pixels)
        return cls(height_px, width_px, counts_to_string(_canonical(runs)))

    def decode(self) -> NDArray[np.bool_]:
        """Return the mask as (H, W) bool."""
        runs = self.runs()
        values = np.arange(runs.size) % 2 == 1
        flat = np.repeat(values, runs)
        return flat.reshape((self.height_px, self.width_px), order="F")

    def to_coco(self) -> dict[str, Any]:
        """Return {"size": [height, width], "counts": str}."""
        return {"size": [self.height_px, self.width_px], "counts": self.counts}

    def runs(self) -> Runs:
        """Return the run lengths in column-major order, background first."""
        _check_size(self.height_px, self.width_px)
        num_pixels = self.height_px * self.width_px
        runs = string_to_counts(self.counts, max_runs=num_pixels + 1)
        _check_runs(runs, num_pixels=num_pixels)
        return runs

    @property
    def area_px(self) -> int:
        """Number of mask pixels."""
        return int(self.runs()[1::2].sum())

    @property
    def bbox_xywh_px(self) -> tuple[int, int, int, int]:
        """Tight box (x, y, width, height), sides counted in pixels; all zero when empty."""
        runs = self.runs()
        ends = np.cumsum(runs)[1::2]
        starts = ends - runs[1::2]
        filled = ends > starts
        starts, lasts = starts[filled], ends[filled] - 1
        if starts.size == 0:
            return (0, 0, 0, 0)
        height = self.height_px
        x0, x1 = int(starts[0] // height), int(lasts[-1] // height)
        if np.any(starts // height != lasts // height):  # a run over a column's end spans all rows
            y0, y1 = _row_range_with_wraps(starts, lasts, height)
        else:
            y0, y1 = int((starts % height).min()), int((lasts % height).max())
        return (x0, y0, x1 - x0 + 1, y1 - y0 + 1)

    @property
    def sha256(self) -> str:
        """SHA-256 (hex) of "{height}x{width}:{counts}"."""
        text = f"{self.height_px}x{self.width_px}:{self.counts}"
        return hashlib.sha256(text.encode("ascii")).hexdigest()


def counts_to_string(runs: Runs) -> str:
    """Write run lengths as COCO's compressed string."""
    deltas = runs.astype(np.int64, copy=True)
    deltas[3:] -= runs[1:-2]
    num_chars = np.ones(deltas.shape, dtype=np.int64)
    for length in range(1, _MAX_CHARACTERS):
        bound = 1 << (5 * length - 1)
        num_chars += (deltas < -bound) | (deltas >= bound)
    starts = np.cumsum(num_chars) - num_chars
    group = np.arange(int(num_chars.sum())) - np.repeat(starts, num_chars)
    bits = (np.repeat(deltas, num_chars) >> (5 * group)) & 0x1F
    is_last = group == np.repeat(num_chars, num_chars) - 1
    codes: bytes = (bits + np.where(is_last, 48, 80)).astype(np.uint8).tobytes()
    return codes.decode("ascii")


def string_to_counts(counts: str | bytes, *, max_runs: int) -> Runs:
    """Read COCO's compressed string into run lengths.

    Raises RleError for characters outside the code, a cut-off end, too many runs or too large ones.
    """
    codes = _character_codes(counts)
    is_last = (codes & 0x20) == 0
    if not is_last[-1]:
        raise RleError("the counts string ends in the middle of a number")
    ends = np.flatnonzero(is_last)
    if ends.size > max_runs:
        raise RleError(f"the counts hold {ends.size} runs, too many for the mask's pixels")
    num_chars = np.diff(ends, prepend=-1)
    if num_chars.max() > _MAX_CHARACTERS:
        where = int(num_chars.argmax())
        raise RleError(f"run {where} of the counts string is too large to be a run length")
    group = np.arange(codes.size) - np.repeat(ends - num_chars + 1, num_chars)
    parts = (codes & 0x1F) << (5 * group)
    deltas = np.add.reduceat(parts, ends - num_chars + 1)
    is_negative = (codes[ends] & 0x10) != 0
    deltas -= np.where(is_negative, np.int64(1) << (5 * num_chars), 0)
    deltas[1::2] = np.cumsum(deltas[1::2])
    deltas[2::2] = np.cumsum(deltas[2::2])
    return deltas


def _character_codes(counts: str | bytes) -> Runs:
    try:
        raw = counts.encode("ascii") if isinstance(counts, str) else bytes(counts)
    except UnicodeEncodeError as error:
        raise RleError(f"the counts string has a foreign character at {error.start}") from None
    if not raw:
        raise RleError("the counts are empty")
    codes = np.frombuffer(raw, dtype=np.uint8).astype(np.int64) - 48
    foreign = (codes < 0) | (codes > 0x3F)
    if foreign.any():
        raise RleError(f"the counts string has a foreign character at {int(foreign.argmax())}")
    return codes


def _runs_of(mask_hw: NDArray[np.bool_]) -> Runs:
    flat = mask_hw.ravel(order="F")
    changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    first = [0, 0] if flat[0] else [0]  # the first run counts background and may be empty
    edges: Runs = np.concatenate([first, changes, [flat.size]]).astype(np.int64)
    return np.diff(edges)


def _canonical(runs: Runs) -> Runs:
    if not np.any(runs[1:] == 0):
        return runs
    # An empty run joins its two neighbours, which have the same value: keep the true changes only.
    filled = np.flatnonzero(runs)
    values, lengths = filled % 2, runs[filled]
    starts = np.flatnonzero(np.diff(values, prepend=-1) != 0)
    merged = np.add.reduceat(lengths, starts)
    return np.concatenate([[0], merged]) if values[0] == 1 else merged


def _row_range_with_wraps(starts: Runs, lasts: Runs, height: int) -> tuple[int, int]:
    wraps = starts // height != lasts // height
    return (
        0 if wraps.any() else int((starts % height).min()),
        height - 1 if wraps.any() else int((lasts % height).max()),
    )


def _check_size(height_px: int, width_px: int) -> None:
    if height_px < 1 or width_px < 1:
        raise RleError(f"a mask of {height_px} x {width_px} px (height x width) has no pixels")
    if height_px * width_px > MAX_PIXELS:
        raise RleError(f"a mask of {height_px} x {width_px} px is larger than {MAX_PIXELS} pixels")


def _read_size(size: object) -> tuple[int, int]:
    if not isinstance(size, list | tuple | np.ndarray) or len(size) != 2:
        raise RleError('"size" must be [height, width]')
    for side in size:
        if isinstance(side, bool) or not isinstance(side, int | np.integer):
            raise RleError('"size" must be two whole numbers [height, width]')
    height_px, width_px = int(size[0]), int(size[1])
    _check_size(height_px, width_px)
    return height_px, width_px


def _read_run_list(counts: object, *, max_runs: int) -> Runs:
    if not isinstance(counts, list | tuple | np.ndarray):
        raise RleError('"counts" must be a string or a list of run lengths')
    if len(counts) == 0:
        raise RleError("the counts are empty")
    if len(counts) > max_runs:
        raise RleError(f"the counts hold {len(counts)} runs, too many for the mask's pixels")
    for index, run in enumerate(counts):
        if isinstance(run, bool) or not isinstance(run, int | np.integer):
            raise RleError(f"run {index} of the counts is not a whole number")
        if not -MAX_PIXELS <= run <= MAX_PIXELS:
            raise RleError(f"run {index} of the counts is too large to be a run length")
    return np.array(counts, dtype=np.int64)


def _check_runs(runs: Runs, *, num_pixels: int) -> None:
    if (runs < 0).any():
        raise RleError(f"run {int((runs < 0).argmax())} of the counts is negative")
    total = int(runs.sum())
    if total != num_pixels:
        raise RleError(f"the runs add up to {total} pixels but the mask has {num_pixels}")
