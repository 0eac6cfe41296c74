"""COCO run-length codes of binary masks: encode, decode, and check what others hand in.

The string code is COCO's (column-major runs, first run is background, six bits a character).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pycocotools import mask as coco_mask

MAX_PIXELS = 1 << 28  # 268 megapixels: a tiny code must not make us allocate without bound
_MAX_CHARACTERS = 7  # a 32-bit signed difference needs at most seven groups of five bits
_BLOCK = 1 << 18  # values worked on at once: temporaries stay in cache and memory is bounded
_DENSE = 16  # with more than one change in so many pixels, sorting costs more than transposing

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
        runs = _runs_of(mask_hw)
        if runs is None:
            dense = coco_mask.encode(np.asfortranarray(mask_hw.view(np.uint8)))
            return cls(height_px, width_px, dense["counts"].decode("ascii"))
        return cls(height_px, width_px, counts_to_string(runs))

    @classmethod
    def from_runs(cls, runs: ArrayLike, height_px: int, width_px: int) -> Rle:
        """Make a mask of whole-numbered run lengths in column-major order, background first.

        Empty runs are allowed anywhere and leave no trace: equal masks are equal objects.
        Raises RleError unless there are runs, none negative, that add up to the mask's pixels.
        """
        height_px, width_px = _read_size((height_px, width_px))
        try:
            lengths = np.asarray(runs)
        except ValueError:  # lists of different lengths in a list
            raise RleError("run lengths are a list of whole numbers") from None
        if lengths.ndim != 1 or lengths.size == 0 or lengths.dtype.kind not in "iu":
            raise RleError("run lengths are a list of at least one whole number")
        if lengths.dtype == np.uint64:  # the only type int64 cannot hold
            lengths = np.minimum(lengths, MAX_PIXELS + 1)
        lengths = lengths.astype(np.int64)
        _check_runs(lengths, num_pixels=height_px * width_px)
        return cls(height_px, width_px, counts_to_string(_canonical(lengths)))

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
        values = np.zeros(runs.size, dtype=np.bool_)
        values[1::2] = True
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
            y0, y1 = 0, height - 1
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
    parts = []
    for start in range(0, runs.size, _BLOCK):
        deltas = runs[start : start + _BLOCK].astype(np.int64)
        differs = max(0, 3 - start)  # from the fourth run on, the difference to the last but one
        before = start + differs - 2
        deltas[differs:] -= runs[before : before + max(0, deltas.size - differs)]
        parts.append(_characters(deltas))
    return b"".join(parts).decode("ascii")


def string_to_counts(counts: str | bytes, *, max_runs: int) -> Runs:
    """Read COCO's compressed string into run lengths.

    Raises RleError for characters outside the code, a cut-off end, too many runs or too large ones.
    """
    codes = _character_codes(counts, max_characters=max_runs * _MAX_CHARACTERS)
    is_last = (codes & 0x20) == 0
    if not is_last[-1]:
        raise RleError("the counts string ends in the middle of a number")
    num_runs = int(np.count_nonzero(is_last))
    if num_runs > max_runs:
        raise RleError(f"the counts hold {num_runs} runs, too many for the mask's pixels")
    deltas = np.empty(num_runs, dtype=np.int64)
    start, done = 0, 0
    while start < codes.size:
        ends = start + np.flatnonzero(is_last[start : start + _BLOCK])
        if ends.size == 0:
            raise RleError(f"run {done} of the counts string is too large to be a run length")
        deltas[done : done + ends.size] = _numbers(codes, start, ends, first_run=done)
        start, done = int(ends[-1]) + 1, done + ends.size
    np.cumsum(deltas[1::2], out=deltas[1::2])
    np.cumsum(deltas[2::2], out=deltas[2::2])
    return deltas


def _characters(deltas: Runs) -> bytes:
    """Write numbers in groups of five bits, the low ones first; the sixth bit says more follow."""
    codes = np.zeros((deltas.size, _MAX_CHARACTERS), dtype=np.uint8)  # 0: not written
    rows: slice | Runs = slice(None)
    for position in range(_MAX_CHARACTERS):
        bits = deltas & 0x1F
        deltas = deltas >> 5
        goes_on = deltas != -(bits >> 4)  # the last group's top bit is the number's sign
        codes[rows, position] = bits + 48 + 32 * goes_on
        more = np.flatnonzero(goes_on)
        if more.size == 0:
            break
        rows = more if isinstance(rows, slice) else rows[more]
        deltas = deltas[more]
    written: bytes = codes[codes != 0].tobytes()
    return written


def _numbers(codes: NDArray[np.uint8], start: int, ends: Runs, *, first_run: int) -> Runs:
    """Read the numbers whose last characters are at ends, the first beginning at start."""
    num_chars = np.diff(ends, prepend=start - 1)
    longest = int(num_chars.max())
    if longest > _MAX_CHARACTERS:
        where = first_run + int(num_chars.argmax())
        raise RleError(f"run {where} of the counts string is too large to be a run length")
    last = codes[ends].astype(np.int64)
    values = np.where(last & 0x10, last | -0x20, last)  # the last group's top bit is the sign
    for before in range(1, longest):
        rows = np.flatnonzero(num_chars > before)
        values[rows] = values[rows] << 5 | (codes[ends[rows] - before] & 0x1F)
    return values


def _character_codes(counts: str | bytes, *, max_characters: int) -> NDArray[np.uint8]:
    if len(counts) > max_characters:
        raise RleError(f"{len(counts)} characters of counts are too many for the mask's pixels")
    try:
        raw = counts.encode("ascii") if isinstance(counts, str) else bytes(counts)
    except UnicodeEncodeError as error:
        raise RleError(f"the counts string has a foreign character at {error.start}") from None
    if not raw:
        raise RleError("the counts are empty")
    codes = np.frombuffer(raw, dtype=np.uint8) - np.uint8(48)  # what lies below 48 wraps to above
    foreign = codes > 0x3F
    if foreign.any():
        raise RleError(f"the counts string has a foreign character at {int(foreign.argmax())}")
    return codes


def _runs_of(mask_hw: NDArray[np.bool_]) -> Runs | None:
    """Return the column-major runs, or None when there are too many for this to be the fast way.

    A C-order mask is not transposed: its few changes between one row and the next are found where
    they are and then sorted into column order (2 to 20 times faster at 60 megapixels).
    """
    if mask_hw.flags.f_contiguous:
        changes = _changes_along(mask_hw.ravel(order="F"))
    else:
        found = _changes_between_rows(mask_hw)
        if found is None:
            return None
        changes = found
    first = [0, 0] if mask_hw[0, 0] else [0]  # the first run counts background and may be empty
    edges: Runs = np.concatenate([first, changes, [mask_hw.size]]).astype(np.int64)
    return np.diff(edges)


def _changes_along(flat: NDArray[np.bool_]) -> Runs:
    """Return the positions that differ from the one before."""
    parts = []
    for start in range(1, flat.size, _BLOCK):
        before = flat[start - 1 : start - 1 + _BLOCK][: flat.size - start]
        parts.append(start + np.flatnonzero(flat[start : start + _BLOCK] != before))
    return np.concatenate(parts) if parts else np.zeros(0, dtype=np.int64)


def _changes_between_rows(mask_hw: NDArray[np.bool_]) -> Runs | None:
    """Return the column-major positions that differ from the pixel before, sorted."""
    height_px, width_px = mask_hw.shape
    wraps = np.flatnonzero(mask_hw[0, 1:] != mask_hw[-1, :-1]) + 1  # bottom to the next top
    parts, num_changes = [wraps * height_px], wraps.size
    rows_at_once = max(1, _BLOCK // width_px)
    for top in range(1, height_px, rows_at_once):
        upper = mask_hw[top - 1 : top - 1 + rows_at_once][: height_px - top]
        y, x = np.divmod(np.flatnonzero(mask_hw[top : top + rows_at_once] != upper), width_px)
        parts.append(x * height_px + (y + top))
        num_changes += x.size
        if num_changes * _DENSE > mask_hw.size:
            return None
    changes = np.concatenate(parts)
    changes.sort()
    return changes


def _canonical(runs: Runs) -> Runs:
    if not np.any(runs[1:] == 0):
        return runs
    # An empty run joins its two neighbours, which have the same value: keep the true changes only.
    filled = np.flatnonzero(runs)
    values, lengths = filled % 2, runs[filled]
    starts = np.flatnonzero(np.diff(values, prepend=-1) != 0)
    merged = np.add.reduceat(lengths, starts)
    return np.concatenate([[0], merged]) if values[0] == 1 else merged


def _check_size(height_px: int, width_px: int) -> None:
    if (
        max(abs(height_px), abs(width_px)) > MAX_PIXELS
    ):  # not printed: Python refuses very long numbers
        raise RleError(f"a mask with a side of over {MAX_PIXELS} px is larger than can be read")
    if height_px < 1 or width_px < 1:
        raise RleError(f"a mask of {height_px} x {width_px} px (height x width) has no pixels")
    if height_px * width_px > MAX_PIXELS:
        raise RleError(f"a mask of {height_px} x {width_px} px is larger than {MAX_PIXELS} pixels")


def _read_size(size: object) -> tuple[int, int]:
    size = size.tolist() if isinstance(size, np.ndarray) else size
    if not isinstance(size, list | tuple) or len(size) != 2:
        raise RleError('"size" must be [height, width]')
    for side in size:
        if isinstance(side, bool) or not isinstance(side, int | np.integer):
            raise RleError('"size" must be two whole numbers [height, width]')
    height_px, width_px = int(size[0]), int(size[1])
    _check_size(height_px, width_px)
    return height_px, width_px


def _read_run_list(counts: object, *, max_runs: int) -> Runs:
    counts = counts.tolist() if isinstance(counts, np.ndarray) else counts
    if not isinstance(counts, list | tuple):
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
    if runs.min() < 0:
        raise RleError(f"run {int((runs < 0).argmax())} of the counts is negative")
    if runs.max() > num_pixels:  # else their sum could overflow into the right one
        where = int((runs > num_pixels).argmax())
        raise RleError(f"run {where} of the counts is longer than the mask's {num_pixels} pixels")
    total = int(runs.sum())
    if total != num_pixels:
        raise RleError(f"the runs add up to {total} pixels but the mask has {num_pixels}")
